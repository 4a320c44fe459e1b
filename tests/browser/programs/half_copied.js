// As a page leaves it that was closed while it copied three files.
async () => {
    const view = document.querySelector('script[type=module]').src;  // the page's own modules lie beside it
    const {keep} = await import(new URL('outbox.js', view));
    await keep('Trip', [{file: new File(['no picture'], 'one.jpg'), name: 'one.jpg'}], () => false, () => {});
    const db = await new Promise((resolve) => {
        const request = indexedDB.open('facewire-outbox');
        request.onsuccess = () => resolve(request.result);
    });
    const store = db.transaction('batches', 'readwrite').objectStore('batches');
    store.getAll().onsuccess = ({target}) => store.put({...target.result[0], files: 3});
    db.close();
}
