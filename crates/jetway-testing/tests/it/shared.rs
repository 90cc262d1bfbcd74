//! The server that tests share.

use jetway_testing::{shared_server, unique_namespace};

#[tokio::test]
async fn every_caller_gets_the_same_server() {
    let (first, second) = tokio::join!(shared_server(), shared_server());
    assert!(std::ptr::eq(first, second));
    assert_eq!(first.pid(), shared_server().await.pid());
}

#[test]
fn the_server_outlives_the_runtime_that_started_it() {
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(shared_server().await.url()).await.unwrap();
            let mut messages = client.subscribe(unique_namespace("shared")).await.unwrap();
            messages.unsubscribe().await.unwrap();
        });
    }
}
