//! Sockets of SCTP: made, set, bound, connected, asked.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use dlmwire_transport::ADDRESSES_MAX;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::{Unavailable, in_operation};
use crate::event::{Path, PathState};
use crate::layout::{self, PathInfo, SOL_SCTP};
use crate::notification::WANTED;
use crate::options::{Options, Rto};
use crate::sys;

/// Whether this host offers SCTP to this process.
///
/// # Errors
///
/// Why not, with the way out.
///
/// On any other trouble, for example when descriptors have run out, it says nothing against SCTP.
pub fn probe() -> Result<(), Unavailable> {
    open(Domain::IPV4)
        .map(drop)
        .or_else(|e| Unavailable::of(&e).map_or(Ok(()), Err))
}

/// A socket of SCTP, one-to-one style, that never waits.
pub(crate) fn open(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::from(SOL_SCTP)));
    let socket = socket.map_err(|e| match (e.raw_os_error(), e.kind()) {
        (Some(errno @ (libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT)), _) => {
            Unavailable::NotInKernel { errno }.into()
        }
        (Some(errno), io::ErrorKind::PermissionDenied) => Unavailable::Forbidden { errno }.into(),
        _ => in_operation("create an SCTP socket", e),
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets a socket before it is bound; what a listener is set to, its accepted sockets are.
pub(crate) fn set(socket: &Socket, options: &Options) -> io::Result<()> {
    set_accepted(socket, options)?;
    let Rto { min, initial, max } = options.rto;
    let (heartbeat, path_max) = (options.heartbeat_interval, options.path_max_retrans);
    let values: [(&str, _, &[u8]); 4] = [
        (
            "SCTP_RTOINFO",
            layout::RTOINFO,
            &layout::rtoinfo(initial, max, min),
        ),
        (
            "SCTP_INITMSG",
            layout::INITMSG,
            &layout::initmsg(options.init_attempts, max),
        ),
        (
            "SCTP_PEER_ADDR_PARAMS",
            layout::PEER_ADDR_PARAMS,
            &layout::peer_addr_params(heartbeat, path_max),
        ),
        (
            "SCTP_ASSOCINFO",
            layout::ASSOCINFO,
            &layout::associnfo(options.association_max_retrans),
        ),
    ];
    for (name, option, value) in values {
        set_option(socket, name, option, value)?;
    }
    if let Some(port) = options.udp_encapsulation_port {
        let value = layout::udp_encaps(port);
        set_option(
            socket,
            "SCTP_REMOTE_UDP_ENCAPS_PORT",
            layout::REMOTE_UDP_ENCAPS_PORT,
            &value,
        )?;
    }
    for kind in WANTED {
        set_option(socket, "SCTP_EVENT", layout::EVENT, &layout::event(kind))?;
    }
    set_buffers(socket, options.buffer_bytes)
}

/// Sets what an accepted socket does not have from its listener.
pub(crate) fn set_accepted(socket: &Socket, options: &Options) -> io::Result<()> {
    set_nodelay(socket.as_fd())?;
    if let Some(mark) = options.mark {
        let set = socket.set_mark(mark);
        set.map_err(|e| in_operation(format_args!("set SO_MARK {mark} (needs CAP_NET_ADMIN)"), e))?;
    }
    Ok(())
}

/// Binds a socket to all these addresses, of which the first tells the port; 0 lets the system choose one for all.
/// The first address, with its port.
///
/// Never the wildcard: a peer that knows our configured addresses only would refuse the others (spec: lowcomms 10).
pub(crate) fn bind_all(socket: &Socket, addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
    let Some((first, others)) = addresses.split_first() else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    if first.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let at = |address: &SocketAddr, e| in_operation(format_args!("bind to {address}"), e);
    socket.bind(&(*first).into()).map_err(|e| at(first, e))?;
    let bound = socket
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    for mut other in others.iter().copied() {
        other.set_port(bound.port());
        let value = layout::packed(&[other]);
        sys::set_option(socket.as_fd(), SOL_SCTP, layout::BINDX_ADD, &value).map_err(|e| at(&other, e))?;
    }
    let mut first = *first;
    first.set_port(bound.port());
    Ok(first)
}

/// Makes a bound socket listen.
pub(crate) fn listen(socket: &Socket, backlog: i32) -> io::Result<()> {
    socket.listen(backlog).map_err(|e| match e.raw_os_error() {
        Some(errno @ libc::ENOSYS) => Unavailable::NoCookieHash { errno }.into(),
        _ => e,
    })
}

/// Begins to connect a bound socket: to the one address, or to all of them.
pub(crate) fn connect(socket: &Socket, addresses: &[SocketAddr]) -> io::Result<()> {
    let begun = match addresses {
        [one] => socket.connect(&(*one).into()),
        all => sys::set_option(socket.as_fd(), SOL_SCTP, layout::CONNECTX, &layout::packed(all)),
    };
    match begun {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        outcome => outcome,
    }
}

/// Makes a path the one that is sent to first.
pub(crate) fn set_primary(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let value = layout::primary_addr(address);
    sys::set_option(socket, SOL_SCTP, layout::PRIMARY_ADDR, &value)
        .map_err(|e| in_operation(format_args!("make {address} the primary path"), e))
}

/// The addresses of one end of the association.
pub(crate) fn addresses(socket: BorrowedFd<'_>, of_peer: bool) -> io::Result<Vec<SocketAddr>> {
    let (name, option) = match of_peer {
        true => ("SCTP_GET_PEER_ADDRS", layout::GET_PEER_ADDRS),
        false => ("SCTP_GET_LOCAL_ADDRS", layout::GET_LOCAL_ADDRS),
    };
    // A foreign peer may have many; who has more than these is not worth more bytes.
    let mut value = vec![0; layout::ADDRESSES_HEADER_LEN + 32 * 4 * ADDRESSES_MAX];
    // How many bytes it wrote is not asked: the system leaves the header out of the count for our addresses, and
    // not for the peer's.
    sys::get_option(socket, SOL_SCTP, option, &mut value)
        .map_err(|e| in_operation(format_args!("read {name}"), e))?;
    Ok(layout::unpacked(&value))
}

/// Every path of the association, as it is now.
pub(crate) fn paths(socket: BorrowedFd<'_>) -> io::Result<Vec<Path>> {
    let mut status = [0; layout::STATUS_LEN];
    sys::get_option(socket, SOL_SCTP, layout::STATUS, &mut status)
        .map_err(|e| in_operation("read SCTP_STATUS", e))?;
    let primary = PathInfo::of_status(&status).map(|info| info.address);
    let mut paths = Vec::new();
    for address in addresses(socket, true)? {
        let mut value = layout::path_question(address);
        sys::get_option(socket, SOL_SCTP, layout::GET_PEER_ADDR_INFO, &mut value)
            .map_err(|e| in_operation(format_args!("read the state of the path to {address}"), e))?;
        if let Some(info) = PathInfo::read(&value) {
            paths.push(Path {
                address,
                state: match info.state {
                    0 => PathState::Inactive,
                    1 => PathState::Suspect,
                    2 => PathState::Active,
                    _ => PathState::Unconfirmed,
                },
                primary: Some(address) == primary,
                round_trip: Duration::from_millis(info.round_trip.into()),
                timeout: Duration::from_millis(info.timeout.into()),
            });
        }
    }
    Ok(paths)
}

fn set_option(socket: &Socket, name: &str, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    sys::set_option(socket.as_fd(), SOL_SCTP, option, value)
        .map_err(|e| in_operation(format_args!("set {name}"), e))
}

/// Makes an SCTP socket send what it is given without delay (`SCTP_NODELAY`); public for whoever compares plain sockets
/// with this transport.
///
/// # Errors
///
/// What the system says, for example of a socket of another protocol.
pub fn set_nodelay(socket: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_option(socket, SOL_SCTP, layout::NODELAY, &1_i32.to_ne_bytes())
        .map_err(|e| in_operation("set SCTP_NODELAY", e))
}

/// Beyond the system's limit with the right to do so, else as large as it allows.
fn set_buffers(socket: &Socket, bytes: u32) -> io::Result<()> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX).to_ne_bytes();
    let size = usize::try_from(bytes).unwrap_or(usize::MAX);
    let plain = SockRef::from(socket);
    let force = |option| sys::set_option(socket.as_fd(), libc::SOL_SOCKET, option, &value);
    force(libc::SO_RCVBUFFORCE)
        .or_else(|_| plain.set_recv_buffer_size(size))
        .map_err(|e| in_operation(format_args!("set SO_RCVBUF {bytes}"), e))?;
    force(libc::SO_SNDBUFFORCE)
        .or_else(|_| plain.set_send_buffer_size(size))
        .map_err(|e| in_operation(format_args!("set SO_SNDBUF {bytes}"), e))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn read(socket: &Socket, option: libc::c_int, question: &[u8]) -> Vec<u8> {
        let mut value = question.to_vec();
        let count = sys::get_option(socket.as_fd(), SOL_SCTP, option, &mut value).expect("it can be read");
        assert_eq!(
            count,
            question.len(),
            "option {option} is as long as the system's"
        );
        value
    }

    fn int(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(layout::field(bytes, at).expect("it is there"))
    }

    fn half(bytes: &[u8], at: usize) -> u16 {
        u16::from_ne_bytes(layout::field(bytes, at).expect("it is there"))
    }

    /// Sizes, numbers and offsets are the kernel's: it gives back what was set, where it was set.
    #[test]
    #[ignore = "needs kernel SCTP: .ci/run guest"]
    fn system_gives_back_what_was_set() {
        let ms = Duration::from_millis;
        let options = Options {
            rto: Rto {
                min: ms(301),
                initial: ms(402),
                max: ms(1503),
            },
            heartbeat_interval: ms(704),
            path_max_retrans: 3,
            association_max_retrans: 6,
            init_attempts: 9,
            udp_encapsulation_port: Some(9899),
            ..Options::default()
        };
        let socket = open(Domain::IPV4).expect("SCTP is there");
        set(&socket, &options).expect("it is set");
        let rto = read(&socket, layout::RTOINFO, &[0; layout::RTOINFO_LEN]);
        assert_eq!([4, 8, 12].map(|at| int(&rto, at)), [402, 1503, 301]);
        let init = read(&socket, layout::INITMSG, &[0; layout::INITMSG_LEN]);
        assert_eq!([4, 6].map(|at| half(&init, at)), [9, 1503]);
        let association = read(&socket, layout::ASSOCINFO, &[0; layout::ASSOCINFO_LEN]);
        assert_eq!(half(&association, 4), 6);
        let path = read(
            &socket,
            layout::PEER_ADDR_PARAMS,
            &[0; layout::PEER_ADDR_PARAMS_LEN],
        );
        assert_eq!(
            (int(&path, 132), half(&path, 136), int(&path, 146) & 1),
            (704, 3, 1)
        );
        let encaps = read(
            &socket,
            layout::REMOTE_UDP_ENCAPS_PORT,
            &[0; layout::UDP_ENCAPS_LEN],
        );
        assert_eq!(encaps[136..138], 9899_u16.to_be_bytes());
        assert_eq!(int(&read(&socket, layout::NODELAY, &[0; 4]), 0), 1);
        for kind in WANTED {
            let mut question = layout::event(kind);
            question[6] = 0;
            assert_eq!(
                read(&socket, layout::EVENT, &question)[6],
                1,
                "notification {kind:#x}"
            );
        }
        // The system doubles what it is asked for, as it does for the kernel's own DLM.
        assert_eq!(socket.recv_buffer_size().expect("it is known"), 8 << 20);
        assert_eq!(socket.send_buffer_size().expect("it is known"), 8 << 20);
    }

    #[test]
    #[ignore = "needs kernel SCTP: .ci/run guest"]
    fn bound_addresses_are_just_those_given() {
        let addresses: Vec<SocketAddr> = (1..=3)
            .map(|last| (IpAddr::from([127, 50, 1, last]), 0).into())
            .collect();
        let socket = open(Domain::IPV4).expect("SCTP is there");
        let first = bind_all(&socket, &addresses).expect("they can be bound");
        let mut bound = super::addresses(socket.as_fd(), false).expect("it is known");
        bound.sort();
        let wanted: Vec<SocketAddr> = addresses
            .iter()
            .map(|address| (address.ip(), first.port()).into())
            .collect();
        assert_eq!(bound, wanted);
        assert_ne!(first.port(), 0);
        let foreign = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 9), 0));
        let socket = open(Domain::IPV4).expect("SCTP is there");
        let error = bind_all(&socket, &[addresses[0], foreign]).expect_err("it is not ours");
        assert!(error.to_string().starts_with("bind to 203.0.113.9:"), "{error}");
    }

    #[test]
    #[ignore = "needs kernel SCTP: .ci/run guest"]
    fn refused_option_is_named() {
        let socket = open(Domain::IPV4).expect("SCTP is there");
        let rto = Rto {
            min: Duration::from_secs(9),
            ..Rto::default()
        };
        let error = set(
            &socket,
            &Options {
                rto,
                ..Options::default()
            },
        )
        .expect_err("min is over max");
        assert!(error.to_string().starts_with("set SCTP_RTOINFO:"), "{error}");
    }
}
