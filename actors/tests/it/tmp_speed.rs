use crate::support::{Host, Probe};
use jetway_core::{backend::Backend, memory::MemoryBackend};
use std::{sync::Arc, time::{Duration, Instant}};
#[tokio::test]
async fn speed() {
  for n in [200u64, 1000, 4000] {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |_| ());
    host.drain(Duration::ZERO).await;
    let began = Instant::now();
    for i in 0..n { host.start_directly("chain", &format!("r{i}"), 1).await; }
    let p = began.elapsed();
    println!("{n} started directly {p:?}");
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let host = Host::with(&backend, &[&chain], |c| {c.start_concurrency=64; c.concurrency=64;});
    let began = Instant::now();
    for i in 0..n { host.publish("chain", &format!("r{i}"), 1).await; }
    let p = began.elapsed();
    host.until("all", |s| s.coordinator.started == n).await;
    let q = began.elapsed();
    host.until("all", |s| s.worker.done == n).await;
    println!("{n} published {p:?} started {q:?} done {:?}", began.elapsed());
    host.drain(Duration::ZERO).await;
  }
}
