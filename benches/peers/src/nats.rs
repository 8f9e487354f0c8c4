//! NATS: a broker between both ends, whose time counts as well.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::raw::{Counts, End, Meter, Setup, both};
use crate::{BATCH, LOOK_EVERY, Outcome, on_this_thread, other};

const SUBJECT: &str = "bench";

/// Ticks of a second in /proc, the same on all of Linux.
const TICKS: u64 = 100;

/// How long the broker may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A receiver that hears nothing for so long is at the end.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) fn run(setup: &Setup, size: usize) -> Outcome {
    let broker = Broker::start()?;
    let (address, process) = (broker.address, broker.process.id());
    // Whoever sends before the other listens sends to nobody.
    let (ready, wait) = sync_channel(1);
    Ok(both(
        setup,
        move |meter| on_this_thread(send(address, process, &wait, size, meter)),
        move |meter| on_this_thread(receive(address, &ready, meter)),
    )?)
}

async fn send(
    address: SocketAddr,
    broker: u32,
    ready: &Receiver<()>,
    size: usize,
    mut meter: Meter,
) -> io::Result<End> {
    let client = async_nats::connect(address.to_string()).await.map_err(other)?;
    ready.recv().map_err(other)?;
    let payload = Bytes::from(vec![7; size]);
    let mut counts = Counts::default();
    let mut before = None;
    while !meter.is_over(|| counts) {
        if meter.is_counting() && before.is_none() {
            before = Some(cpu_of(broker));
        }
        for _ in 0..BATCH {
            client.publish(SUBJECT, payload.clone()).await.map_err(other)?;
        }
        client.flush().await.map_err(other)?;
        counts.messages += BATCH;
    }
    let mut end = meter.end(counts);
    end.cpu += cpu_of(broker).saturating_sub(before.unwrap_or_default());
    Ok(end)
}

async fn receive(address: SocketAddr, ready: &SyncSender<()>, mut meter: Meter) -> io::Result<End> {
    let client = async_nats::connect(address.to_string()).await.map_err(other)?;
    let mut messages = client.subscribe(SUBJECT).await.map_err(other)?;
    client.flush().await.map_err(other)?;
    ready.send(()).map_err(other)?;
    let mut counts = Counts::default();
    while let Ok(Some(_)) = tokio::time::timeout(SILENCE, messages.next()).await {
        counts.messages += 1;
        if counts.messages.is_multiple_of(LOOK_EVERY) && meter.is_over(|| counts) {
            break;
        }
    }
    Ok(meter.end(counts))
}

/// A broker of our own, which ends with this.
struct Broker {
    process: Child,
    address: SocketAddr,
}

impl Broker {
    fn start() -> io::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = free.local_addr()?;
        drop(free);
        let process = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("nats-server: {error}")))?;
        let broker = Self { process, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nats-server does not listen",
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Processor time of a process so far; nothing if it is gone.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}
