// A ZIP that is dropped once more after a part of it has arrived.
async ({bytes, place}) => {
    const {KeptBatch} = await import('/static/js/outbox.js');
    const {add} = await import('/static/js/uploading.js');
    const file = new File([new Uint8Array(bytes)], 'more.zip', {lastModified: 1});
    await new KeptBatch({album: 'Trip'}).keepPlace(file, place);
    await add('Trip', [{file, name: 'more.zip'}]);
}
