//! The send queue, the engine without I/O and two nodes over links in memory, watched for changes over time by
//! criterion.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dlmwire_benches::engine::{BATCH, Pair};
use dlmwire_benches::nodes;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = send_queue, engine, replay, in_memory
}
criterion_main!(benches);

const SIZES: [usize; 3] = [16, 128, 2048];

/// What a message costs its sender: into the queue, lent to a link, released by an acknowledgement.
fn send_queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send_queue");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let payload = vec![7; size];
        let mut pair = Pair::connected();
        // Queues have grown to their size, and what has come is acknowledged.
        pair.turn(&payload);
        group.bench_function(format!("send/{size}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let start = std::time::Instant::now();
                    pair.send(black_box(&payload));
                    spent += start.elapsed();
                    pair.lend();
                    pair.receive();
                    pair.acknowledge();
                }
                spent
            });
        });
        group.bench_function(format!("release/{size}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    pair.send(black_box(&payload));
                    pair.lend();
                    pair.receive();
                    let start = std::time::Instant::now();
                    pair.acknowledge();
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// Both ends of a message.
fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let payload = vec![7; size];
        group.bench_function(format!("turn/{size}"), |bencher| {
            bencher.iter_batched_ref(
                Pair::connected,
                |pair| pair.turn(black_box(&payload)),
                BatchSize::NumIterations(1000),
            );
        });
    }
    group.finish();
}

/// What is unacknowledged, given to a link: the first time, and again after a reconnection.
fn replay(criterion: &mut Criterion) {
    const BATCHES: usize = 8;
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements((BATCHES * BATCH) as u64));
    for (name, again) in [("first", false), ("again", true)] {
        group.bench_function(format!("{name}/128"), |bencher| {
            let mut pair = Pair::connected();
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    for _ in 0..BATCHES {
                        pair.send(black_box(&[7; 128]));
                    }
                    if again {
                        pair.lend();
                        pair.reconnect();
                    }
                    let start = std::time::Instant::now();
                    pair.lend();
                    pair.receive();
                    spent += start.elapsed();
                    pair.acknowledge();
                }
                spent
            });
        });
    }
    group.finish();
}

/// The same through two nodes, their loops and links in memory.
fn in_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in_memory");
    for size in SIZES {
        let mut pair = nodes::Pair::connected(&vec![7; size]);
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(format!("stream/{size}"), |bencher| {
            bencher.iter(|| pair.send(BATCH));
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("one/{size}"), |bencher| {
            bencher.iter(|| pair.send(1));
        });
    }
    group.finish();
}
