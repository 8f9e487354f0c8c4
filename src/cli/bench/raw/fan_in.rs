//! Many connections into one loop.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::event::epoll;

use super::{Counts, End, Meter, READ_BYTES, Setup, both, encode, is_gone, pair, split};

/// Readiness that is fetched from the system in one call.
const EVENTS_MAX: usize = 1024;

/// One thread writes `per_write` messages to each of `connections` in turn, another reads all of them.
pub(crate) fn run(setup: &Setup, connections: usize, per_write: usize) -> io::Result<[End; 2]> {
    let pairs: Vec<_> = (0..connections).map(|_| pair(setup)).collect::<io::Result<_>>()?;
    let (to, from): (Vec<_>, Vec<_>) = pairs.into_iter().map(|[one, other]| (one, other)).unzip();
    both(
        setup,
        |meter| send(to, setup.frame_bytes, per_write, meter),
        |meter| receive(from, meter),
    )
}

fn send(to: Vec<TcpStream>, frame_bytes: usize, per_write: usize, mut meter: Meter) -> io::Result<End> {
    let mut batch = vec![7; per_write * frame_bytes];
    for (seq, frame) in (0..).zip(batch.chunks_exact_mut(frame_bytes)) {
        encode(frame, seq, 0);
    }
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        for mut stream in &to {
            stream.write_all(&batch)?;
            counts.writes += 1;
            counts.messages += per_write as u64;
        }
    }
    Ok(meter.end(counts))
}

fn receive(from: Vec<TcpStream>, mut meter: Meter) -> io::Result<End> {
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, stream) in (0..).zip(&from) {
        stream.set_nonblocking(true)?;
        epoll::add(
            &queue,
            stream,
            epoll::EventData::new_u64(at),
            epoll::EventFlags::IN,
        )?;
    }
    let mut tails = vec![Vec::new(); from.len()];
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut counts = Counts::default();
    loop {
        meter.is_over(|| counts);
        epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let at = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let (Some(mut stream), Some(tail)) = (from.get(at), tails.get_mut(at)) else {
                continue;
            };
            let kept = tail.len();
            buffer.get_mut(..kept).unwrap_or_default().copy_from_slice(tail);
            let count = match stream.read(buffer.get_mut(kept..).unwrap_or_default()) {
                Ok(0) => return Ok(meter.end(counts)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if is_gone(&error) => return Ok(meter.end(counts)),
                Err(error) => return Err(error),
            };
            counts.reads += 1;
            let mut rest = buffer.get(..kept + count).unwrap_or_default();
            while let Some((_, _, behind)) = split(rest)? {
                counts.messages += 1;
                rest = behind;
            }
            tail.clear();
            tail.extend_from_slice(rest);
        }
    }
}
