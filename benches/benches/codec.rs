//! How long it takes to write and to read a snapshot, at three sizes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetway_benches::snapshots::{chain, fanned_out};
use jetway_state::{Fingerprint, codec, run::Snapshot};
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

criterion_group!(benches, bench);
criterion_main!(benches);
