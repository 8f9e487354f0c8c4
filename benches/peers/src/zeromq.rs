//! ZeroMQ: PUSH to PULL. It works in threads of its own, so the whole process's time counts.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::raw::{Counts, End, Meter, Setup, both};
use crate::{LOOK_EVERY, Outcome};

/// Messages that may wait on either side; its default of 1000 would measure that.
const WAITING_MAX: i32 = 100_000;

/// How long a socket waits before it is looked whether the time is over.
const PATIENCE_MS: i32 = 200;

pub(crate) fn run(setup: &Setup, size: usize) -> Outcome {
    let (told, address) = sync_channel(1);
    let [mut send, mut receive] = both(
        setup,
        move |meter| send(&address, size, meter),
        move |meter| receive(&told, meter),
    )?;
    // The sender's figure is all of the process's.
    receive.cpu = Duration::ZERO;
    send.cpu = send.cpu.max(Duration::from_nanos(1));
    Ok([send, receive])
}

fn send(address: &Receiver<String>, size: usize, mut meter: Meter) -> io::Result<End> {
    let address = address.recv().map_err(crate::other)?;
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PUSH)?;
    socket.set_sndhwm(WAITING_MAX)?;
    socket.set_sndtimeo(PATIENCE_MS)?;
    socket.set_linger(0)?;
    socket.connect(&address)?;
    let payload = vec![7; size];
    let mut counts = Counts::default();
    let mut before = None;
    let mut waited = false;
    loop {
        if waited || counts.messages.is_multiple_of(LOOK_EVERY) {
            let over = meter.is_over(|| counts);
            if meter.is_counting() && before.is_none() {
                before = Some(process_cpu());
            }
            if over {
                break;
            }
        }
        let sent = socket.send(&payload, 0);
        waited = sent == Err(zmq::Error::EAGAIN);
        match sent {
            Ok(()) => counts.messages += 1,
            Err(zmq::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let cpu = process_cpu().saturating_sub(before.unwrap_or_default());
    let mut end = meter.end(counts);
    end.cpu = cpu;
    Ok(end)
}

fn receive(told: &SyncSender<String>, mut meter: Meter) -> io::Result<End> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PULL)?;
    socket.set_rcvhwm(WAITING_MAX)?;
    socket.set_rcvtimeo(PATIENCE_MS)?;
    socket.bind("tcp://127.0.0.1:*")?;
    let address = socket.get_last_endpoint()?;
    let address = address.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    told.send(address).map_err(crate::other)?;
    let mut message = zmq::Message::new();
    let mut counts = Counts::default();
    loop {
        if counts.messages.is_multiple_of(LOOK_EVERY) && meter.is_over(|| counts) {
            break;
        }
        match socket.recv(&mut message, 0) {
            Ok(()) => counts.messages += 1,
            Err(zmq::Error::EAGAIN) if meter.is_over(|| counts) => break,
            Err(zmq::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(meter.end(counts))
}

/// Processor time of all threads.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
