//! tokio-util's length-delimited frames, fed in batches: what many would write first.

use std::net::TcpStream as StdStream;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::raw::{Counts, End, Meter, READ_BYTES, Setup, WRITE_BYTES, both, pair};
use crate::{BATCH, LOOK_EVERY, Outcome, on_this_thread};

pub(crate) fn run(setup: &Setup, size: usize) -> Outcome {
    let [to, from] = pair(setup)?;
    Ok(both(
        setup,
        |meter| on_this_thread(send(to, size, meter)),
        |meter| on_this_thread(receive(from, meter)),
    )?)
}

fn stream(stream: StdStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

async fn send(to: StdStream, size: usize, mut meter: Meter) -> std::io::Result<End> {
    let mut frames = FramedWrite::new(stream(to)?, LengthDelimitedCodec::new());
    frames.set_backpressure_boundary(WRITE_BYTES);
    let payload = Bytes::from(vec![7; size]);
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        for _ in 0..BATCH {
            SinkExt::<Bytes>::feed(&mut frames, payload.clone()).await?;
        }
        SinkExt::<Bytes>::flush(&mut frames).await?;
        counts.messages += BATCH;
    }
    Ok(meter.end(counts))
}

async fn receive(from: StdStream, mut meter: Meter) -> std::io::Result<End> {
    let codec = LengthDelimitedCodec::new();
    let mut frames = FramedRead::with_capacity(stream(from)?, codec, READ_BYTES);
    let mut counts = Counts::default();
    while let Some(Ok(_)) = frames.next().await {
        counts.messages += 1;
        if counts.messages.is_multiple_of(LOOK_EVERY) {
            meter.is_over(|| counts);
        }
    }
    Ok(meter.end(counts))
}
