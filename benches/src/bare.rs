//! What the server does without Jetway.

use anyhow::{Context, Result};
use async_nats::jetstream::{self, kv, stream};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream as streams};
use std::time::{Duration, Instant};

/// How many keys are written at once: enough to keep the server busy.
const AT_ONCE: usize = 256;
/// How many writes are measured.
const WRITES: usize = 12_000;
/// How many publishes one after the other.
const PUBLISHES: usize = 200;

/// The bare server's figures.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Bare {
    /// Key-value writes by compare-and-swap each second, each message by itself, many keys at once.
    pub(crate) swaps_per_second: f64,
    /// The same with one key, one write after the other.
    pub(crate) swaps_in_a_row_per_second: f64,
    /// The time of one synchronous JetStream publish, half of them below.
    pub(crate) publish_p50_ms: f64,
}

pub(crate) async fn measure(url: &str, namespace: &str, bytes: usize) -> Result<Bare> {
    let js = jetstream::new(async_nats::connect(url).await?);
    let bucket = format!("bare-{namespace}");
    let config = kv::Config { bucket: bucket.clone(), history: 1, ..kv::Config::default() };
    let store = js.create_key_value(config).await?;
    let value = Bytes::from(vec![b'x'; bytes]);
    let swaps_per_second = swaps(&store, &value).await?;
    let swaps_in_a_row_per_second = in_a_row(&store, &value).await?;
    js.delete_key_value(&bucket).await?;
    let publish_p50_ms = publishes(&js, namespace, &value).await?;
    Ok(Bare { swaps_per_second, swaps_in_a_row_per_second, publish_p50_ms })
}

async fn swaps(store: &kv::Store, value: &Bytes) -> Result<f64> {
    let rounds = WRITES / AT_ONCE;
    let began = Instant::now();
    streams::iter(0..AT_ONCE)
        .map(|key| async move {
            let key = format!("k{key}");
            let mut revision = store.create(&key, value.clone()).await?;
            for _ in 1..rounds {
                revision = store.update(&key, value.clone(), revision).await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok((rounds * AT_ONCE) as f64 / began.elapsed().as_secs_f64())
}

async fn in_a_row(store: &kv::Store, value: &Bytes) -> Result<f64> {
    let mut revision = store.create("row", value.clone()).await?;
    let began = Instant::now();
    for _ in 0..PUBLISHES {
        revision = store.update("row", value.clone(), revision).await?;
    }
    Ok(PUBLISHES as f64 / began.elapsed().as_secs_f64())
}

async fn publishes(js: &jetstream::Context, namespace: &str, value: &Bytes) -> Result<f64> {
    let name = format!("bare-publish-{namespace}");
    let subject = format!("bare.{namespace}");
    let config =
        stream::Config { name: name.clone(), subjects: vec![subject.clone()], ..stream::Config::default() };
    js.create_stream(config).await?;
    let mut times = Vec::with_capacity(PUBLISHES);
    for _ in 0..PUBLISHES {
        let began = Instant::now();
        js.publish(subject.clone(), value.clone()).await?.await?;
        times.push(began.elapsed());
    }
    js.delete_stream(&name).await?;
    times.sort();
    let half: Duration = *times.get(PUBLISHES / 2).context("nothing was published")?;
    Ok(half.as_secs_f64() * 1000.0)
}
