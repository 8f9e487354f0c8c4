//! quinn: one unidirectional stream, messages behind their lengths, its defaults otherwise.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, Endpoint, ServerConfig};

use crate::raw::{Counts, End, Meter, READ_BYTES, Setup, both};
use crate::{BATCH, Outcome, on_this_thread, other};

const LENGTH_BYTES: usize = 4;

pub(crate) fn run(setup: &Setup, size: usize) -> Outcome {
    // Whether somebody chose already does not matter: it is the only one.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = CertificateDer::from(made.cert);
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let client = ClientConfig::with_root_certificates(Arc::new(roots))?;
    // The server's endpoint belongs to its thread's runtime: its port is told from there.
    let (told, address) = std::sync::mpsc::sync_channel(1);
    Ok(both(
        setup,
        move |meter| {
            let address = address.recv().map_err(other)?;
            on_this_thread(send(address, client, size, meter))
        },
        |meter| on_this_thread(receive(server, told, meter)),
    )?)
}

async fn send(address: SocketAddr, config: ClientConfig, size: usize, mut meter: Meter) -> io::Result<End> {
    let mut endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    endpoint.set_default_client_config(config);
    let connecting = endpoint.connect(address, "localhost").map_err(other)?;
    let connection = connecting.await.map_err(other)?;
    let mut stream = connection.open_uni().await.map_err(other)?;
    let mut message = u32::try_from(size).map_err(other)?.to_le_bytes().to_vec();
    message.resize(LENGTH_BYTES + size, 7);
    let count = usize::try_from(BATCH).map_err(other)?;
    let mut batch = Vec::with_capacity(count * message.len());
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        batch.clear();
        for _ in 0..BATCH {
            batch.extend_from_slice(&message);
        }
        stream.write_all(&batch).await.map_err(other)?;
        counts.messages += BATCH;
    }
    let end = meter.end(counts);
    stream.finish().map_err(other)?;
    connection.closed().await;
    Ok(end)
}

async fn receive(
    config: ServerConfig,
    told: std::sync::mpsc::SyncSender<SocketAddr>,
    mut meter: Meter,
) -> io::Result<End> {
    let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    told.send(endpoint.local_addr()?).map_err(other)?;
    let incoming = endpoint.accept().await.ok_or_else(|| other("nobody came"))?;
    let connection = incoming.await.map_err(other)?;
    let mut stream = connection.accept_uni().await.map_err(other)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut kept, mut counts) = (0, Counts::default());
    while let Some(count) = stream.read(&mut buffer[kept..]).await.map_err(other)? {
        meter.is_over(|| counts);
        let filled = kept + count;
        let mut rest = &buffer[..filled];
        while let Some((head, behind)) = rest.split_first_chunk::<LENGTH_BYTES>() {
            let length = usize::try_from(u32::from_le_bytes(*head)).map_err(other)?;
            let Some((_, behind)) = behind.split_at_checked(length) else {
                break;
            };
            rest = behind;
            counts.messages += 1;
        }
        kept = rest.len();
        buffer.copy_within(filled - kept..filled, 0);
    }
    let end = meter.end(counts);
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    Ok(end)
}
