// @ts-check
// The camera: sends frames over a websocket as fast as the connection allows; answers carry the frame's number.

const FRAME_MS = 70; // at most 14 frames a second
const LONGEST_SIDE = 960; // pixels: enough for faces across a room
const MOST_BUFFERED = 400000; // unsent bytes: two frames; more would only be late
const KEPT = 200; // frames kept, as JPEGs, until their answer comes: 14 s of a slow server

export class Camera {
  // `onanswer(message, blob, bitmap)`: called with the answer's frame; `onend(reason)`.
  constructor({ onanswer, onend }) {
    this.onanswer = onanswer;
    this.onend = onend;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.frames = new Map();
    this.number = 0;
  }

  async start() {
    if (!navigator.mediaDevices)
      throw new Error(
        "Browsers give the camera only to pages on this machine (localhost) or over TLS: see web_app.py --help.",
      );
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
      });
    } catch (error) {
      throw new Error(
        error.name === "NotFoundError"
          ? "There is no camera here."
          : "Camera access was denied. Allow it next to the page's address, and try again.",
      );
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("The camera was switched off."));
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => this.stop("The connection to the page's gateway was lost."));
    this.timer = setInterval(() => this.send(), FRAME_MS);
  }

  send() {
    if (
      this.encoding ||
      this.socket.readyState !== WebSocket.OPEN ||
      this.socket.bufferedAmount > MOST_BUFFERED ||
      !this.video.videoWidth
    )
      return;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(this.video.videoWidth, this.video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(this.video.videoWidth * scale);
    canvas.height = Math.round(this.video.videoHeight * scale);
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    this.encoding = true;
    canvas.toBlob(
      async (blob) => {
        this.encoding = false;
        if (!blob || this.socket.readyState !== WebSocket.OPEN) return;
        const number = ++this.number;
        const header = new DataView(new ArrayBuffer(4));
        header.setUint32(0, number);
        this.frames.set(number, blob);
        if (this.frames.size > KEPT) this.frames.delete(this.frames.keys().next().value);
        const bytes = await new Blob([header, blob]).arrayBuffer();
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes);
      },
      "image/jpeg",
      0.85,
    );
  }

  async take(message) {
    const blob = this.frames.get(message.frame);
    for (const number of this.frames.keys()) if (number <= message.frame) this.frames.delete(number);
    if (!blob) return;
    const bitmap = await createImageBitmap(blob);
    if (!this.stopped) this.onanswer(message, blob, bitmap);
  }

  stop(reason = null) {
    if (this.stopped) return;
    this.stopped = true;
    clearInterval(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    this.socket?.close();
    this.onend(reason);
  }
}
