//! From a packet to its IP payload.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::{LaxIpSlice, LenSource};

use super::packets::Packet;

const ETHERNET_HEADER_LEN: usize = 14;
const SLL_HEADER_LEN: usize = 16;
const SLL2_HEADER_LEN: usize = 20;
const VLAN_TAG_LEN: usize = 4;
const VLAN_TAGS_MAX: usize = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;

/// IP protocol number of TCP.
pub(super) const TCP: u8 = 6;
/// IP protocol number of SCTP.
pub(super) const SCTP: u8 = 132;

/// What the first bytes of a packet are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkType {
    /// Ethernet.
    Ethernet,
    /// Linux "cooked" capture, version 1.
    LinuxCooked,
    /// Linux "cooked" capture, version 2.
    LinuxCooked2,
    /// An IPv4 or IPv6 header.
    RawIp,
    /// BSD loopback: 4 bytes of address family, in either byte order.
    Loopback,
    /// Something else, by its number; [`UNDESCRIBED`](Self::UNDESCRIBED) if the file does not say.
    Unsupported(u32),
}

impl LinkType {
    /// Stands for the number of an interface that was never described (pcapng).
    pub const UNDESCRIBED: u32 = u32::MAX;

    /// Reads a number as in pcap and pcapng files.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Ethernet,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            0 | 108 => Self::Loopback,
            other => Self::Unsupported(other),
        }
    }

    /// The number to write; where several mean the same, the usual one.
    pub const fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::LinuxCooked => 113,
            Self::LinuxCooked2 => 276,
            Self::RawIp => 101,
            Self::Loopback => 0,
            Self::Unsupported(number) => number,
        }
    }
}

/// An IP address; IPv4 as an IPv4-mapped IPv6 address, so that keys of links have one form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Address(u128);

impl Address {
    fn from_v4(octets: [u8; 4]) -> Self {
        Self(0xffff_0000_0000 | u128::from(u32::from_be_bytes(octets)))
    }

    const fn from_v6(octets: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(octets))
    }

    /// For use in a hash.
    pub(super) const fn bits(self) -> u128 {
        self.0
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Ipv6Addr::from(address.0).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::from_v4(address.octets()),
            IpAddr::V6(address) => Self::from_v6(address.octets()),
        }
    }
}

/// An IP packet that carries TCP or SCTP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// [`TCP`] or [`SCTP`].
    pub(super) protocol: u8,
    /// IPv4 identification; 0 means none.
    pub(super) id: u16,
    pub(super) fragment: Fragment,
    /// What is there of the payload.
    pub(super) payload: &'a [u8],
    /// Bytes of payload that were on the wire.
    pub(super) wire_len: usize,
}

impl Datagram<'_> {
    /// The first two fields of both TCP and SCTP.
    #[inline]
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let &[a, b, c, d] = self.payload.first_chunk::<4>()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
}

/// Which part of a fragmented IP packet this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fragment {
    /// It is not fragmented.
    Whole,
    /// The first part: ports can be read.
    First,
    /// A later one.
    Later,
}

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layers<'a> {
    /// TCP or SCTP over IP.
    Ip(Datagram<'a>),
    /// Something else.
    Other,
    /// The link layer is not known here.
    UnknownLink,
    /// A header is damaged or cut off.
    Undecodable,
}

/// Looks through the link layer and IP.
#[inline]
pub(super) fn layers<'a>(packet: &Packet<'a>) -> Layers<'a> {
    let data = packet.data;
    let ip = match packet.link_type {
        LinkType::Ethernet => behind_ethertype(data, 12, ETHERNET_HEADER_LEN),
        LinkType::LinuxCooked => behind_ethertype(data, 14, SLL_HEADER_LEN),
        LinkType::LinuxCooked2 => behind_ethertype(data, 0, SLL2_HEADER_LEN),
        LinkType::RawIp => Inner::Ip(data),
        LinkType::Loopback => behind_family(data),
        LinkType::Unsupported(_) => return Layers::UnknownLink,
    };
    match ip {
        Inner::Ip(ip) => datagram(ip, (packet.wire_len as usize).saturating_sub(data.len())),
        Inner::Other => Layers::Other,
        Inner::Cut => Layers::Undecodable,
    }
}

enum Inner<'a> {
    Ip(&'a [u8]),
    Other,
    Cut,
}

/// Follows an EtherType at `at` and any VLAN tags behind the header of `header_len` bytes.
#[inline]
fn behind_ethertype(data: &[u8], at: usize, header_len: usize) -> Inner<'_> {
    let (Some(mut ethertype), Some(mut rest)) = (be16(data, at), data.get(header_len..)) else {
        return Inner::Cut;
    };
    for _ in 0..=VLAN_TAGS_MAX {
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Inner::Ip(rest),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => {
                let (Some(inner), Some(behind)) = (be16(rest, 2), rest.get(VLAN_TAG_LEN..)) else {
                    return Inner::Cut;
                };
                (ethertype, rest) = (inner, behind);
            }
            _ => return Inner::Other,
        }
    }
    Inner::Other
}

/// The family has the byte order of the capturing host (type 0) or of the network (type 108), and IPv6 has
/// several numbers; all of them are below 256, so that one byte of the four tells.
fn behind_family(data: &[u8]) -> Inner<'_> {
    match (data.first_chunk::<4>(), data.get(4..)) {
        (Some([0, 0, 0, family] | [family, 0, 0, 0]), Some(rest)) => match family {
            2 | 10 | 24 | 28 | 30 => Inner::Ip(rest),
            _ => Inner::Other,
        },
        (Some(_), _) => Inner::Other,
        (None, _) => Inner::Cut,
    }
}

/// `cut` is what the capture left out at the packet's end.
#[inline]
fn datagram(bytes: &[u8], cut: usize) -> Layers<'_> {
    let Ok((ip, stopped)) = LaxIpSlice::from_slice(bytes) else {
        return Layers::Undecodable;
    };
    let payload = ip.payload();
    let protocol = payload.ip_number.0;
    if protocol != TCP && protocol != SCTP {
        return Layers::Other;
    }
    if stopped.is_some() {
        return Layers::Undecodable;
    }
    let (source, destination, id, stated, fragment) = match &ip {
        LaxIpSlice::Ipv4(v4) => {
            let header = v4.header();
            let (source, destination) = (
                Address::from_v4(header.source()),
                Address::from_v4(header.destination()),
            );
            let later = header.fragments_offset().value() != 0;
            (
                source,
                destination,
                header.identification(),
                usize::from(header.total_len()),
                later,
            )
        }
        LaxIpSlice::Ipv6(v6) => {
            let header = v6.header();
            let (source, destination) = (
                Address::from_v6(header.source()),
                Address::from_v6(header.destination()),
            );
            let stated = usize::from(header.payload_length()) + header.slice().len();
            (source, destination, 0, stated, is_later_fragment(v6))
        }
    };
    // Lengths of 0 are filled in by the network card (segmentation offload): then the record's length counts.
    let missing = match (payload.incomplete, payload.len_source) {
        (true, _) => stated.saturating_sub(bytes.len()),
        (false, LenSource::Slice) => cut,
        (false, _) => 0,
    };
    Layers::Ip(Datagram {
        source,
        destination,
        protocol,
        id,
        fragment: match (payload.fragmented, fragment) {
            (false, _) => Fragment::Whole,
            (true, false) => Fragment::First,
            (true, true) => Fragment::Later,
        },
        payload: payload.payload,
        wire_len: payload.payload.len() + missing,
    })
}

fn is_later_fragment(v6: &etherparse::LaxIpv6Slice<'_>) -> bool {
    v6.extensions()
        .clone()
        .into_iter()
        .any(|extension| match extension {
            etherparse::Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() != 0,
            _ => false,
        })
}

#[inline]
fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?
        .first_chunk::<2>()
        .map(|&bytes| u16::from_be_bytes(bytes))
}
