//! What the server does without Jetway.

use anyhow::Result;
use async_nats::jetstream::{self, kv, stream};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream as streams};
use std::time::{Duration, Instant};

/// How many keys are written at once: enough to keep the server busy.
const AT_ONCE: usize = 256;
/// How many writes are measured.
const WRITES: usize = 12_000;
/// How many writes one after the other.
const IN_A_ROW: usize = 200;

/// The bare server's figures.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Bare {
    /// Key-value writes by compare-and-swap each second, each message by itself, many keys at once.
    pub(crate) swaps_per_second: f64,
    /// The same with one key, one write after the other.
    pub(crate) swaps_in_a_row_per_second: f64,
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
    Ok(Bare { swaps_per_second, swaps_in_a_row_per_second })
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
    for _ in 0..IN_A_ROW {
        revision = store.update("row", value.clone(), revision).await?;
    }
    Ok(IN_A_ROW as f64 / began.elapsed().as_secs_f64())
}

/// A stream to publish to, one message after the other.
pub(crate) struct Publisher {
    js: jetstream::Context,
    name: String,
    subject: String,
    value: Bytes,
}

impl Publisher {
    pub(crate) async fn new(url: &str, namespace: &str, bytes: usize) -> Result<Self> {
        let js = jetstream::new(async_nats::connect(url).await?);
        let (name, subject) = (format!("bare-publish-{namespace}"), format!("bare.{namespace}"));
        let subjects = vec![subject.clone()];
        js.create_stream(stream::Config { name: name.clone(), subjects, ..stream::Config::default() })
            .await?;
        Ok(Self { js, name, subject, value: Bytes::from(vec![b'x'; bytes]) })
    }

    /// How long one synchronous publish takes.
    pub(crate) async fn publish(&self) -> Result<Duration> {
        let began = Instant::now();
        self.js.publish(self.subject.clone(), self.value.clone()).await?.await?;
        Ok(began.elapsed())
    }

    pub(crate) async fn remove(self) -> Result<()> {
        self.js.delete_stream(&self.name).await?;
        Ok(())
    }
}
