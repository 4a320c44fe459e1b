"""Decodes the names of files in ZIPs, which seldom declare their encoding.

By the standard, a name is UTF-8 if a flag says so, otherwise IBM's code page 437. In practice, macOS and many libraries
write UTF-8 without the flag; Windows writes the code page of its language; Info-ZIP writes the local bytes, plus the
UTF-8 name in an extra field with a checksum of the bytes. So we use, in this order: the flag; the field; UTF-8 if all
names are valid UTF-8; the encoding in which all names of the archive together look most like names. A wrong guess only
costs an unreadable name: names are never used as paths (names.py).
"""

from __future__ import annotations

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075  # APPNOTE 4.6.9: version 1, crc32 of the header's name, the name in UTF-8
_AS_ZIPFILE = "cp437"  # zipfile's decoding of unflagged names; every byte has a character, so it can be undone


def names_of(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of an archive's files, in NFC, with forward slashes."""
    raws = [_raw(info) for info in infos]
    said = [_said(info, raw) for info, raw in zip(infos, raws, strict=True)]
    decode = decoder_for([raw for raw, name in zip(raws, said, strict=True) if name is None])
    return [
        unicodedata.normalize("NFC", decode(raw) if name is None else name).replace("\\", "/")
        for raw, name in zip(raws, said, strict=True)
    ]


def decoder_for(raws: Iterable[bytes]) -> Callable[[bytes], str]:
    """A decoder for the names of an archive that doesn't declare their encoding."""
    parts = {part for raw in raws for part in raw.split(b"/") if not part.isascii()}
    utf8 = {part for part in parts if _reads(part, "utf-8")}
    if len(utf8) * 2 >= len(parts):  # rarely valid UTF-8 by chance: if most names are, two programs wrote this
        other = _guess(parts - utf8)
        return lambda raw: raw.decode("utf-8") if _reads(raw, "utf-8") else raw.decode(other, "replace")
    encoding = _guess(parts)
    return lambda raw: raw.decode(encoding, "replace")


def _raw(info: zipfile.ZipInfo) -> bytes:
    encoding = "utf-8" if info.flag_bits & _UTF8_FLAG else _AS_ZIPFILE
    return info.orig_filename.partition("\0")[0].encode(encoding)


def _said(info: zipfile.ZipInfo, raw: bytes) -> str | None:
    """The name, if the archive declares its encoding; else None."""
    if raw.isascii() and not info.extra:
        return raw.decode("ascii")
    field = _unicode_path(info.extra, raw)
    if field is not None:
        return field
    return raw.decode("utf-8") if info.flag_bits & _UTF8_FLAG or raw.isascii() else None


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Info-ZIP's Unicode name, unless it belongs to another name than the header's or is not valid UTF-8."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(data) > 5 and data[0] == 1:
            (checksum,) = struct.unpack_from("<L", data, 1)
            if checksum == zlib.crc32(raw) and _reads(data[5:], "utf-8"):
                return data[5:].decode("utf-8").partition("\0")[0]
    return None


def _reads(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


# ------------------------------------------------------------------------------------------ guessing the encoding

# Surprise in bits, of an encoding and of each character in it: rough estimates of what names consist of. Tests check
# the outcome for names in a dozen languages.
_ENCODINGS: Mapping[str, float] = {
    **{"cp437": 0, "cp850": 1, "cp1252": 2, "cp932": 2, "gbk": 2, "cp866": 2, "cp1251": 2},
    **{"big5": 3, "cp949": 3, "cp1250": 5, "cp852": 5, "cp1253": 4, "cp737": 4, "koi8-r": 7},
}

_ACCENTED = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœšžßÀÁÂÃÄÅÆÇÈÉÊËÍÎÑÓÔÖØÙÚÜŒŠŽąćęłńśźżĄĆĘŁŃŚŹŻčďěňřťůČĎŘőűŐŰăâîșțđĐðÐþÞ"
)
_TYPOGRAPHIC = frozenset("’‘“”„–—…·«»¡¿°©®№")
_SECOND_HALVES = frozenset("@[\\]^`{|}~")  # second bytes of some two-byte characters; they seldom follow a letter
_FREQUENT: Mapping[str, frozenset[str]] = {
    "gbk": frozenset(
        "的一是在人有我他这中大来上国个到说们为子和你地出会也时要就可以对生能而那得于着下自之年过发后作里用道行所然家种事成方多经么去法学"
        "如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日者意无力它与长把机十第公此已工使情明性知全三又关点正外将两"
        "高间由问很最重物手文体美相见二新己身加西月话合回内信老给世位门先海东声水名真走各入口平气活打女变四神电安少太山金光放白张王李刘陈杨赵"
        "黄周吴徐孙胡朱林何郭马罗梁宋郑谢韩唐冯董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶余潘杜戴夏钟汪田任姜范石姚谭廖伟芳娜敏静丽强磊军洋勇"
        "艳杰娟涛超秀霞刚桂英华慧玲红照片相册图像旅游婚礼毕业春节秋冬爷奶爸妈哥姐弟妹福北京上海广州深圳杭假期聚餐宝宝孩"
    ),
    "big5": frozenset(
        "的一是不了人我在有他這為之大來以個中上們到說國和地也子時道出而要於就下得可你年生自會那後能對著事其裡所去行過家十用發天如然作方成"
        "者多日都三小二無同麼經法當起與好看學進種將還分此心前面又定見只主沒公從李王張劉陳楊趙黃周吳徐孫胡朱高林何郭馬羅梁宋鄭謝韓唐馮董蕭曹"
        "袁鄧許沈曾彭呂蘇盧蔣蔡葉潘杜戴鍾姜石廖鄒熊陸邱江顧侯邵龍錢湯黎賴龔照片相簿圖像旅遊婚禮畢業春節爺奶爸媽哥姐弟妹全福台北雄灣香港明美"
        "華英文秀玲雅婷怡君淑芬志偉俊傑宗翰家豪冠宇夏秋冬海山花假期聚餐寶孩"
    ),
    "cp932": frozenset(
        "日本人大年出会国中上生行東分前後時間月見学山川田村木林森佐藤鈴高橋渡辺伊小野加吉松井石清水池斎子美太郎一二三四五六七八九十写真旅家"
        "族結婚式誕花火祭京都阪海道北南西横浜夏休春秋冬父母兄弟姉妹犬猫友達入卒業運動会桜温泉新古長島崎原岡福和正男女恵由紀香織優翔健介遊園地表示竹内片画像千葉広"
    ),
    "cp949": frozenset(
        "이김박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지나엄채원천방공현함변염여추도소석선설마길연위표명기반왕"
        "금옥육인제모국어은용예경사부가복태형동온호범승상시단당족행결혼생일졸업입학름겨울봄을아빠머니할버친구산강양영수희철미숙순자준후빈크리스마"
    ),
}
_LEVEL_1 = {"cp932": (0x88, 0x97), "gbk": (0xB0, 0xD7), "big5": (0xA4, 0xC6)}  # lead bytes of the more frequent half
_LEVEL_2 = {"cp932": (0x98, 0xEA), "gbk": (0xD8, 0xF7), "big5": (0xC9, 0xF9), "cp949": (0xCA, 0xFD)}


def _guess(parts: Iterable[bytes]) -> str:
    """The encoding in which these parts of names are least surprising."""
    parts = list(parts)
    possible = [name for name in _ENCODINGS if all(_reads(part, name) for part in parts)] or [_AS_ZIPFILE]
    return min(possible, key=lambda name: _ENCODINGS[name] + sum(_surprise(part.decode(name), name) for part in parts))


def _surprise(text: str, encoding: str) -> float:
    around = f" {text} "
    bits = 0.0
    for at, character in enumerate(around[:-1]):
        if character > "\x7f":
            bits += _of_character(around[at - 1], character, around[at + 1], encoding)
        elif character in _SECOND_HALVES and around[at - 1] > "\x7f":
            bits += 5
    return bits


def _of_character(before: str, character: str, after: str, encoding: str) -> float:
    category = unicodedata.category(character)
    script = _script(character)
    if script == "LATIN":
        return (
            6 + 6 * (character not in _ACCENTED) + 5 * (before > "\x7f" and before.isalpha()) + _case(before, character)
        )
    if script in ("CYRILLIC", "GREEK"):
        stranger = "LATIN" in (_script(before), _script(after))
        usual = "а" <= character.lower() <= "ё" or "ά" <= character.lower() <= "ώ"
        alone = not (before.isalpha() or after.isalpha())
        shouted = character.isupper() and before.isupper()
        return 5 + 6 * (not usual) + 8 * stranger + 3 * alone + shouted + _case(before, character)
    if script in ("CJK", "HANGUL", "HIRAGANA", "KATAKANA"):
        return _of_ideograph(character, script, encoding)
    if script == "HALFWIDTH":
        return 12
    if script in ("IDEOGRAPHIC", "FULLWIDTH") or character in "・ー、。「」『』":
        return 9
    if character in _TYPOGRAPHIC:
        inside = before.isalpha() and after.isalpha()
        return 10 - 3 * inside if character == "’" else 10 + 6 * inside
    if "\u2500" <= character <= "\u259f":  # boxes and blocks
        return 22
    return {"S": 15.0, "P": 15.0, "Z": 15.0}.get(category[0], 22.0)


def _of_ideograph(character: str, script: str, encoding: str) -> float:
    if script in ("HIRAGANA", "KATAKANA"):
        return 6.5 if encoding == "cp932" else 13
    if character in _FREQUENT.get(encoding, ()):
        return 7.5
    if script == "HANGUL":
        return 11 if _reads_as_euc(character) else 19
    lead, trail = character.encode(encoding)[:2]
    (low, high), (low_2, high_2) = _LEVEL_1.get(encoding, (1, 0)), _LEVEL_2.get(encoding, (1, 0))
    if encoding == "gbk" and trail < 0xA1:  # beyond GB 2312
        return 21
    return 12 if low <= lead <= high else 17.5 if low_2 <= lead <= high_2 else 21


def _reads_as_euc(character: str) -> bool:
    """Is this one of the 2,350 syllables in use?"""
    lead = character.encode("cp949")
    return lead[0] >= 0xB0 and lead[1] >= 0xA1


def _case(before: str, character: str) -> float:
    """The surprise of a capital after a small letter."""
    return 6.0 * (character.isupper() and before.islower())


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else _wide(character)


def _wide(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0]
