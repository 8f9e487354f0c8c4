//! tonic: a client-streaming call whose messages are bytes.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures_util::stream;
use http::uri::PathAndQuery;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::server::{ClientStreamingService, NamedService};
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

use crate::raw::{Counts, End, Meter, Setup, both};
use crate::{LOOK_EVERY, Outcome, on_this_thread, other};

/// The server's windows; its default of 64 KiB would measure the windows.
const WINDOW_BYTES: u32 = 1 << 20;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) fn run(setup: &Setup, size: usize) -> Outcome {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(both(
        setup,
        |meter| on_this_thread(send(address, size, meter)),
        |meter| on_this_thread(receive(listener, meter)),
    )?)
}

async fn send(address: SocketAddr, size: usize, meter: Meter) -> io::Result<End> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(other)?;
    let channel = endpoint.tcp_nodelay(true).connect().await.map_err(other)?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(other)?;
    let payload = Bytes::from(vec![7; size]);
    let state = Arc::new(Mutex::new((Some(meter), Counts::default(), None)));
    let shared = Arc::clone(&state);
    let messages = stream::iter(std::iter::from_fn(move || {
        let mut state = shared.lock().ok()?;
        let (meter, counts, end) = &mut *state;
        counts.messages += 1;
        if counts.messages.is_multiple_of(LOOK_EVERY) && meter.as_mut()?.is_over(|| *counts) {
            *end = meter.take().map(|meter| meter.end(*counts));
            return None;
        }
        Some(payload.clone())
    }));
    let path = PathAndQuery::from_static("/bench.Sink/Take");
    let answer = client.client_streaming(Request::new(messages), path, Raw);
    let _answer: Response<Bytes> = answer.await.map_err(other)?;
    let end = state.lock().ok().and_then(|mut state| state.2.take());
    end.ok_or_else(|| other("the stream ended early"))
}

async fn receive(listener: std::net::TcpListener, meter: Meter) -> io::Result<End> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (done, end) = oneshot::channel();
    let sink = Sink(Arc::new(Mutex::new(Some((meter, done)))));
    // Nodelay belongs to whoever accepts: without it both ends wait for each other.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(sink)
        .serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let end = end.await.map_err(other)?;
    // The answer has to go out before the server goes.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    server.abort();
    Ok(end)
}

type Task = Arc<Mutex<Option<(Meter, oneshot::Sender<End>)>>>;

/// The service, and the call of its only method.
#[derive(Clone)]
struct Sink(Task);

impl NamedService for Sink {
    const NAME: &'static str = "bench.Sink";
}

impl Service<http::Request<Body>> for Sink {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Later<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sink = self.clone();
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(Raw)
                .client_streaming(sink, request)
                .await)
        })
    }
}

impl ClientStreamingService<Bytes> for Sink {
    type Response = Bytes;
    type Future = Later<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let task = self.0.lock().ok().and_then(|mut task| task.take());
        Box::pin(async move {
            let (mut meter, done) = task.ok_or_else(|| Status::internal("called twice"))?;
            let mut messages = request.into_inner();
            let mut counts = Counts::default();
            while let Some(_message) = messages.message().await? {
                counts.messages += 1;
                if counts.messages.is_multiple_of(LOOK_EVERY) {
                    meter.is_over(|| counts);
                }
            }
            let _gone = done.send(meter.end(counts));
            Ok(Response::new(Bytes::new()))
        })
    }
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
