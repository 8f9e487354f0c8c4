//! What the options of SCTP hold, as bytes: numbers, sizes and offsets of RFC 6458 as Linux lays them out.
//!
//! Bytes in the machine's own order; addresses as `sockaddr_in` and `sockaddr_in6`, or in a field of
//! [`STORAGE_LEN`] bytes. Every size and offset here was compared with what a kernel accepts; the traps are told
//! where they are (spec: sctp-and-faults 1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use libc::c_int;

/// The level of these options; also the number of the protocol.
pub(crate) const SOL_SCTP: c_int = 132;

pub(crate) const RTOINFO: c_int = 0;
pub(crate) const ASSOCINFO: c_int = 1;
pub(crate) const INITMSG: c_int = 2;
pub(crate) const NODELAY: c_int = 3;
pub(crate) const PRIMARY_ADDR: c_int = 6;
pub(crate) const PEER_ADDR_PARAMS: c_int = 9;
pub(crate) const STATUS: c_int = 14;
pub(crate) const GET_PEER_ADDR_INFO: c_int = 15;
pub(crate) const BINDX_ADD: c_int = 100;
pub(crate) const GET_PEER_ADDRS: c_int = 108;
pub(crate) const GET_LOCAL_ADDRS: c_int = 109;
pub(crate) const CONNECTX: c_int = 110;
pub(crate) const EVENT: c_int = 127;
/// Not 36, its number in another stack: on Linux that is another option, which takes the value and does nothing.
pub(crate) const REMOTE_UDP_ENCAPS_PORT: c_int = 132;

/// A `sockaddr_storage`.
pub(crate) const STORAGE_LEN: usize = 128;
const V4_LEN: usize = 16;
const V6_LEN: usize = 28;

pub(crate) const RTOINFO_LEN: usize = 16;
pub(crate) const ASSOCINFO_LEN: usize = 20;
pub(crate) const INITMSG_LEN: usize = 8;
/// Packed: the fields behind the address are not aligned.
pub(crate) const PEER_ADDR_PARAMS_LEN: usize = 156;
pub(crate) const PRIMARY_ADDR_LEN: usize = 4 + STORAGE_LEN;
pub(crate) const EVENT_LEN: usize = 8;
/// Not packed: the address stands at 8, the port at 136.
pub(crate) const UDP_ENCAPS_LEN: usize = 144;
pub(crate) const PATH_INFO_LEN: usize = 152;
pub(crate) const STATUS_LEN: usize = 24 + PATH_INFO_LEN;
/// Association and count, before the addresses.
pub(crate) const ADDRESSES_HEADER_LEN: usize = 8;

/// Retransmission timeouts, `sctp_rtoinfo`.
pub(crate) fn rtoinfo(initial: Duration, max: Duration, min: Duration) -> [u8; RTOINFO_LEN] {
    let mut bytes = [0; RTOINFO_LEN];
    put(&mut bytes, 4, &millis(initial).to_ne_bytes());
    put(&mut bytes, 8, &millis(max).to_ne_bytes());
    put(&mut bytes, 12, &millis(min).to_ne_bytes());
    bytes
}

/// Retransmissions before the association is lost, `sctp_assocparams`; zero leaves the rest as it is.
pub(crate) fn associnfo(retrans_max: u16) -> [u8; ASSOCINFO_LEN] {
    let mut bytes = [0; ASSOCINFO_LEN];
    put(&mut bytes, 4, &retrans_max.to_ne_bytes());
    bytes
}

/// How often and how long an INIT is tried, `sctp_initmsg`; zero leaves the streams as they are.
pub(crate) fn initmsg(attempts: u16, timeout_max: Duration) -> [u8; INITMSG_LEN] {
    let mut bytes = [0; INITMSG_LEN];
    put(&mut bytes, 4, &attempts.to_ne_bytes());
    let timeout = u16::try_from(millis(timeout_max)).unwrap_or(u16::MAX);
    put(&mut bytes, 6, &timeout.to_ne_bytes());
    bytes
}

/// Heartbeats and retransmissions of every path, `sctp_paddrparams`; zero leaves the rest as it is.
pub(crate) fn peer_addr_params(heartbeat: Duration, retrans_max: u16) -> [u8; PEER_ADDR_PARAMS_LEN] {
    const HEARTBEAT_ENABLE: u32 = 1;
    let mut bytes = [0; PEER_ADDR_PARAMS_LEN];
    put(&mut bytes, 132, &millis(heartbeat).to_ne_bytes());
    put(&mut bytes, 136, &retrans_max.to_ne_bytes());
    put(&mut bytes, 146, &HEARTBEAT_ENABLE.to_ne_bytes());
    bytes
}

/// A path of an association, `sctp_prim`.
pub(crate) fn primary_addr(address: SocketAddr) -> [u8; PRIMARY_ADDR_LEN] {
    let mut bytes = [0; PRIMARY_ADDR_LEN];
    put_address(&mut bytes, 4, address);
    bytes
}

/// A kind of notification, wanted, `sctp_event`.
pub(crate) fn event(kind: u16) -> [u8; EVENT_LEN] {
    let mut bytes = [0; EVENT_LEN];
    put(&mut bytes, 4, &kind.to_ne_bytes());
    bytes[6] = 1;
    bytes
}

/// The peer's UDP port of every path, `sctp_udpencaps`; the port in the network's order.
pub(crate) fn udp_encaps(port: u16) -> [u8; UDP_ENCAPS_LEN] {
    let mut bytes = [0; UDP_ENCAPS_LEN];
    put(&mut bytes, 136, &port.to_be_bytes());
    bytes
}

/// The question about one path, `sctp_paddrinfo`; the answer has the same shape.
pub(crate) fn path_question(address: SocketAddr) -> [u8; PATH_INFO_LEN] {
    let mut bytes = [0; PATH_INFO_LEN];
    put_address(&mut bytes, 4, address);
    bytes
}

/// What is known of a path, by `sctp_paddrinfo`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PathInfo {
    pub(crate) address: SocketAddr,
    /// 0 inactive, 1 potentially failed, 2 active, 3 unconfirmed.
    pub(crate) state: i32,
    /// Milliseconds.
    pub(crate) round_trip: u32,
    /// Milliseconds.
    pub(crate) timeout: u32,
}

impl PathInfo {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            address: address_at(bytes, 4)?,
            state: i32::from_ne_bytes(field(bytes, 132)?),
            round_trip: u32::from_ne_bytes(field(bytes, 140)?),
            timeout: u32::from_ne_bytes(field(bytes, 144)?),
        })
    }

    /// The primary path, out of `sctp_status`.
    pub(crate) fn of_status(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes.get(24..)?)
    }
}

/// Addresses one behind the other, as `bindx` and `connectx` take them.
pub(crate) fn packed(addresses: &[SocketAddr]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(addresses.len() * V6_LEN);
    for address in addresses {
        let mut storage = [0; STORAGE_LEN];
        let len = put_address(&mut storage, 0, *address);
        bytes.extend_from_slice(&storage[..len]);
    }
    bytes
}

/// The addresses that `GET_PEER_ADDRS` and `GET_LOCAL_ADDRS` gave, as far as they make sense.
pub(crate) fn unpacked(bytes: &[u8]) -> Vec<SocketAddr> {
    let count = field(bytes, 4).map_or(0, u32::from_ne_bytes);
    let mut addresses = Vec::new();
    let mut at = ADDRESSES_HEADER_LEN;
    for _ in 0..count {
        let Some(address) = address_at(bytes, at) else {
            break;
        };
        at += if address.is_ipv4() { V4_LEN } else { V6_LEN };
        addresses.push(address);
    }
    addresses
}

/// The socket address that stands at `at`; `None` if it is cut or of no known family.
pub(crate) fn address_at(bytes: &[u8], at: usize) -> Option<SocketAddr> {
    let family = c_int::from(u16::from_ne_bytes(field(bytes, at)?));
    let port = u16::from_be_bytes(field(bytes, at + 2)?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(field::<4>(bytes, at + 4)?);
            bytes.get(at..at + V4_LEN)?;
            Some((ip, port).into())
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(field(bytes, at + 4)?);
            let ip = Ipv6Addr::from(field::<16>(bytes, at + 8)?);
            let scope = u32::from_ne_bytes(field(bytes, at + 24)?);
            Some(match ip.to_canonical() {
                IpAddr::V4(ip) => (ip, port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, flow, scope).into(),
            })
        }
        _ => None,
    }
}

/// The bytes of a field; `None` if they are not there.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Writes an address; how long it is.
fn put_address(bytes: &mut [u8], at: usize, address: SocketAddr) -> usize {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    put(
        bytes,
        at,
        &u16::try_from(family).unwrap_or_default().to_ne_bytes(),
    );
    put(bytes, at + 2, &address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            put(bytes, at + 4, &v4.ip().octets());
            V4_LEN
        }
        SocketAddr::V6(v6) => {
            put(bytes, at + 4, &v6.flowinfo().to_be_bytes());
            put(bytes, at + 8, &v6.ip().octets());
            put(bytes, at + 24, &v6.scope_id().to_ne_bytes());
            V6_LEN
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Whole milliseconds, at least one: zero would mean "leave it".
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the C library's binding has a number, ours is the same.
    #[test]
    fn option_numbers_are_the_systems() {
        assert_eq!(SOL_SCTP, libc::IPPROTO_SCTP);
        let rows = [
            (RTOINFO, libc::SCTP_RTOINFO),
            (ASSOCINFO, libc::SCTP_ASSOCINFO),
            (INITMSG, libc::SCTP_INITMSG),
            (NODELAY, libc::SCTP_NODELAY),
            (PRIMARY_ADDR, libc::SCTP_PRIMARY_ADDR),
            (PEER_ADDR_PARAMS, libc::SCTP_PEER_ADDR_PARAMS),
            (STATUS, libc::SCTP_STATUS),
            (GET_PEER_ADDR_INFO, libc::SCTP_GET_PEER_ADDR_INFO),
        ];
        for (ours, theirs) in rows {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn sizes_are_those_of_the_structures() {
        use std::mem::size_of;
        assert_eq!(STORAGE_LEN, size_of::<libc::sockaddr_storage>());
        assert_eq!(V4_LEN, size_of::<libc::sockaddr_in>());
        assert_eq!(V6_LEN, size_of::<libc::sockaddr_in6>());
        assert_eq!(INITMSG_LEN, size_of::<libc::sctp_initmsg>());
        let rows = [
            ("sctp_rtoinfo", RTOINFO_LEN, 16),
            ("sctp_assocparams", ASSOCINFO_LEN, 20),
            ("sctp_paddrparams", PEER_ADDR_PARAMS_LEN, 156),
            ("sctp_prim", PRIMARY_ADDR_LEN, 132),
            ("sctp_event", EVENT_LEN, 8),
            ("sctp_udpencaps", UDP_ENCAPS_LEN, 144),
            ("sctp_paddrinfo", PATH_INFO_LEN, 152),
            ("sctp_status", STATUS_LEN, 176),
        ];
        for (name, ours, theirs) in rows {
            assert_eq!(ours, theirs, "{name}");
        }
    }

    #[test]
    fn fields_stand_where_the_system_reads_them() {
        let ms = Duration::from_millis;
        let int = |bytes: &[u8], at| field(bytes, at).map(u32::from_ne_bytes);
        let short = |bytes: &[u8], at| field(bytes, at).map(u16::from_ne_bytes);
        let rto = rtoinfo(ms(1), ms(2), ms(3));
        assert_eq!([4, 8, 12].map(|at| int(&rto, at)), [Some(1), Some(2), Some(3)]);
        assert_eq!(short(&associnfo(7), 4), Some(7));
        let init = initmsg(4, Duration::from_secs(100));
        assert_eq!([4, 6].map(|at| short(&init, at)), [Some(4), Some(65535)]);
        let path = peer_addr_params(Duration::ZERO, 5);
        assert_eq!(
            (int(&path, 132), short(&path, 136), int(&path, 146)),
            (Some(1), Some(5), Some(1))
        );
        assert_eq!(udp_encaps(0x1234)[136..138], [0x12, 0x34]);
        assert_eq!(short(&event(0x8001), 4), Some(0x8001));
        assert_eq!(event(0x8001)[6], 1);
    }

    #[test]
    fn addresses_come_back_as_they_went() {
        let addresses: Vec<SocketAddr> = ["10.1.2.3:21064", "[fd00::1]:7", "[fe80::1%3]:8"]
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&3_u32.to_ne_bytes());
        bytes.extend_from_slice(&packed(&addresses));
        assert_eq!(bytes.len(), ADDRESSES_HEADER_LEN + V4_LEN + 2 * V6_LEN);
        assert_eq!(unpacked(&bytes), addresses);
        for cut in 0..bytes.len() {
            assert!(unpacked(&bytes[..cut]).len() < 3, "cut to {cut} bytes");
        }
        bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(
            unpacked(&bytes),
            addresses,
            "a count beyond the bytes is not believed"
        );
        assert_eq!(address_at(&path_question(addresses[1]), 4), Some(addresses[1]));
        assert_eq!(address_at(&primary_addr(addresses[0]), 4), Some(addresses[0]));
    }

    #[test]
    fn path_is_read_from_its_answer() {
        let address = "10.1.2.3:4".parse().expect("an address");
        let mut bytes = vec![0; 24];
        bytes.extend_from_slice(&path_question(address));
        put(&mut bytes, 24 + 132, &2_i32.to_ne_bytes());
        put(&mut bytes, 24 + 140, &11_u32.to_ne_bytes());
        put(&mut bytes, 24 + 144, &500_u32.to_ne_bytes());
        let info = PathInfo {
            address,
            state: 2,
            round_trip: 11,
            timeout: 500,
        };
        assert_eq!(PathInfo::of_status(&bytes), Some(info));
        for cut in 0..24 + 148 {
            assert_eq!(PathInfo::of_status(&bytes[..cut]), None, "cut to {cut} bytes");
        }
    }
}
