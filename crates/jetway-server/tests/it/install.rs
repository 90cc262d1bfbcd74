//! Installing a server where there is none.

use jetway_server::{Finder, INSTALLED_VERSION, NatsServer, Origin};

#[tokio::test]
async fn a_server_is_installed_once_and_runs() {
    let cache = tempfile::tempdir().unwrap();

    // Two at once, as two test processes on a fresh machine would.
    let find = || {
        let finder = Finder::in_cache(cache.path());
        tokio::task::spawn_blocking(move || finder.find_or_install(&mut |_| {}))
    };
    let (first, second) = tokio::join!(find(), find());
    let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
    assert_eq!((first.origin, &first.version), (Origin::Installed, &INSTALLED_VERSION));
    assert_eq!(first.path, second.path);
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "nothing but the server is left");

    let mut notes = Vec::new();
    let again =
        Finder::in_cache(cache.path()).find_or_install(&mut |note| notes.push(note.to_owned())).unwrap();
    assert_eq!((again.origin, notes), (Origin::Cache, vec![]));

    let server = NatsServer::builder().binary(again.path).start().await.unwrap();
    async_nats::connect(server.url()).await.unwrap();
}
