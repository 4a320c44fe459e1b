// A ZIP that is dropped once more after a part of it has arrived.
async ({bytes, place}) => {
    const view = document.querySelector('script[type=module]').src;  // the page's own modules lie beside it
    const {KeptBatch} = await import(new URL('outbox.js', view));
    const {add} = await import(new URL('uploading.js', view));
    const file = new File([new Uint8Array(bytes)], 'more.zip', {lastModified: 1});
    await new KeptBatch({id: 'before', album: 'Trip'}).keepPlace(file, place);
    await add('Trip', [{file, name: 'more.zip'}]);
}
