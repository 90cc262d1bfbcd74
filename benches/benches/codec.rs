//! How long it takes to write and to read a snapshot, at three sizes, and the values of users.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetway_benches::snapshots::{chain, fanned_out};
use jetway_state::{
    Fingerprint, codec,
    run::{EncodedOutput, Snapshot},
    value,
};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for (name, snapshot) in
        [("small", chain(400)), ("fan-out of 100", fanned_out(100, 64)), ("large", chain(256 * 1024))]
    {
        let sealed = codec::seal(&snapshot, Fingerprint(1), "a snapshot").expect("it encodes");
        group.throughput(Throughput::Bytes(sealed.len() as u64));
        group.bench_function(format!("seal, {name}, {} bytes", sealed.len()), |b| {
            b.iter(|| black_box(codec::seal(black_box(&snapshot), Fingerprint(1), "a snapshot")));
        });
        group.bench_function(format!("open, {name}, {} bytes", sealed.len()), |b| {
            b.iter(|| black_box(codec::open::<Snapshot>(black_box(&sealed), "a snapshot")));
        });
    }
    group.finish();
}

/// What a step passes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: String,
    lines: Vec<(u64, u32, f64)>,
    note: Option<String>,
}

/// A value is written, read back and compared once; its reader reads it once.
fn values(c: &mut Criterion) {
    let mut group = c.benchmark_group("values");
    for lines in [0, 3, 100] {
        let order = Order { id: "order-17".to_owned(), lines: vec![(7, 2, 9.5); lines], note: None };
        let written = value::write(&order, &"an order").expect("it can be kept");
        group.bench_function(format!("encode alone, {lines} lines"), |b| {
            b.iter(|| black_box(codec::encode(black_box(&order), "an order")));
        });
        group.bench_function(format!("write, {lines} lines"), |b| {
            b.iter(|| black_box(value::write(black_box(&order), &"an order")));
        });
        group.bench_function(format!("read, {lines} lines"), |b| {
            b.iter(|| black_box(value::read::<Order>(black_box(&written), &"an order")));
        });
        group.bench_function(format!("output, {lines} lines"), |b| {
            b.iter(|| black_box(EncodedOutput::new(black_box(&order))));
        });
    }
    group.finish();
}

criterion_group!(benches, bench, values);
criterion_main!(benches);
