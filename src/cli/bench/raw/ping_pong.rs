//! One message there, one back.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::event::epoll;

use super::{Counts, End, Meter, READ_BYTES, Setup, both, encode, is_gone, pair, split};

/// Calls and answers over one connection; a message counted is one call with its answer.
pub(crate) fn run(setup: &Setup) -> io::Result<[End; 2]> {
    let [to, from] = pair(setup)?;
    both(
        setup,
        |meter| call(Side::new(to)?, setup.frame_bytes, meter),
        |meter| answer(Side::new(from)?, setup.frame_bytes, meter),
    )
}

fn call(mut side: Side, frame_bytes: usize, mut meter: Meter) -> io::Result<End> {
    let mut frame = vec![7; frame_bytes];
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        let stamp = meter.now();
        encode(&mut frame, 0, stamp);
        side.stream.write_all(&frame)?;
        side.wait_for(frame_bytes)?;
        meter.took(stamp);
        counts.messages += 1;
        counts.writes += 1;
    }
    Ok(meter.end(counts))
}

fn answer(mut side: Side, frame_bytes: usize, mut meter: Meter) -> io::Result<End> {
    let mut frame = vec![7; frame_bytes];
    encode(&mut frame, 0, 0);
    let mut counts = Counts::default();
    loop {
        meter.is_over(|| counts);
        match side
            .wait_for(frame_bytes)
            .and_then(|()| side.stream.write_all(&frame))
        {
            Err(error) if is_gone(&error) => break,
            outcome => outcome?,
        }
        counts.messages += 1;
        counts.writes += 1;
    }
    Ok(meter.end(counts))
}

/// A socket and its queue of readiness.
struct Side {
    stream: TcpStream,
    queue: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&queue, &stream, epoll::EventData::new_u64(0), flags)?;
        Ok(Self {
            stream,
            queue,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Waits for one frame, which comes whole on loopback.
    fn wait_for(&mut self, frame_bytes: usize) -> io::Result<()> {
        let mut events = Vec::with_capacity(8);
        epoll::wait(&self.queue, rustix::buffer::spare_capacity(&mut events), None)?;
        let count = self.stream.read(&mut self.buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match split(self.buffer.get(..count).unwrap_or_default())? {
            Some((_, frame, [])) if frame.len() == frame_bytes => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
