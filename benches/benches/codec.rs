//! The codec beside hand-written loops and copying: `cargo bench -p dlmwire-benches --bench codec`.
//!
//! For ratios on a machine that is not idle take the program `codec-ratios`, which interleaves them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dlmwire_benches::{Loop, codec, hand, mix};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = cached, uncached
}
criterion_main!(benches);

fn cached(criterion: &mut Criterion) {
    all(criterion, "cached", mix::CACHED_BYTES);
}

fn uncached(criterion: &mut Criterion) {
    all(criterion, "uncached", mix::UNCACHED_BYTES);
}

fn all(criterion: &mut Criterion, name: &str, bytes_max: usize) {
    let (bytes, messages) = mix::generate(bytes_max);
    let fields = codec::fields(&bytes);
    let lengths = hand::lengths(&bytes);
    let mut out = vec![1; bytes.len()];
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(messages));

    let loops: [(_, Loop, Loop); 3] = [
        ("deframe", hand::deframe, codec::deframe),
        ("view", hand::view, codec::view),
        ("full", hand::full, codec::full),
    ];
    for (task, hand, codec) in loops {
        assert_eq!(hand(&bytes), codec(&bytes), "{task} saw something else");
        for (way, run) in [("hand", hand), ("codec", codec)] {
            group.bench_function(format!("{task}/{way}"), |bencher| {
                bencher.iter(|| run(black_box(&bytes)));
            });
        }
    }
    group.bench_function("encode/memcpy", |bencher| {
        bencher.iter(|| hand::copy_each(black_box(&lengths), &bytes, &mut out));
    });
    out.fill(1);
    let plain = hand::plain(&bytes);
    group.bench_function("encode/hand", |bencher| {
        bencher.iter(|| hand::encode(black_box(&plain), &mut out));
    });
    out.fill(1);
    group.bench_function("encode/codec", |bencher| {
        bencher.iter(|| codec::encode(black_box(&fields), &mut out));
    });
    group.finish();
}
