// Batches and files in the outbox; a database that is only asked for must not be made by that.
async () => {
    if (!(await indexedDB.databases()).some(({name}) => name === 'facewire-outbox')) return [0, 0];
    const answer = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const db = await answer(indexedDB.open('facewire-outbox'));
    const count = (name) => answer(db.transaction(name).objectStore(name).count());
    const counts = [await count('batches'), await count('files')];
    db.close();
    return counts;
}
