//! Who connects through a load balancer that passes TLS on? It says so before the first byte of TLS, in the PROXY protocol.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, version 1 (a line) and version 2 (binary).

use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Says what is wrong with what a load balancer sent first.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHeader {
    /// It ended, or could not be read.
    #[error("reading the PROXY header")]
    Read(#[from] std::io::Error),
    /// It is none.
    #[error("expected a PROXY header of version 1 or 2")]
    Unfit,
    /// It names no internet address.
    #[error("expected a PROXY header with an IPv4 or IPv6 address")]
    NoAddress,
}

/// Reads the header and not a byte more; whom it names, or nothing where the load balancer speaks for itself (it asks whether
/// all is well).
///
/// # Errors
/// If there is none, or it names nobody.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, BadHeader> {
    let mut header = vec![0];
    stream.read_exact(&mut header).await?;
    match header.as_slice() {
        b"P" => {
            while !header.ends_with(b"\r\n") {
                if header.len() >= LONGEST_LINE {
                    return Err(BadHeader::Unfit);
                }
                header.push(stream.read_u8().await?);
            }
            line(&header)
        }
        _ => {
            header.resize(FIXED, 0);
            stream.read_exact(header.get_mut(1..).unwrap_or_default()).await?;
            let (Some(b"\r\n\r\n\0\r\nQUIT\n"), Some([high, low])) = (header.get(..12), header.get(14..16)) else {
                return Err(BadHeader::Unfit);
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length > LONGEST_REST {
                return Err(BadHeader::Unfit);
            }
            header.resize(FIXED + length, 0);
            stream.read_exact(header.get_mut(FIXED..).unwrap_or_default()).await?;
            binary(&header)
        }
    }
}

fn line(header: &[u8]) -> Result<Option<IpAddr>, BadHeader> {
    match v1::Header::try_from(header).map_err(|_| BadHeader::Unfit)?.addresses {
        v1::Addresses::Tcp4(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Tcp6(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Unknown => Err(BadHeader::NoAddress),
    }
}

fn binary(header: &[u8]) -> Result<Option<IpAddr>, BadHeader> {
    let header = v2::Header::try_from(header).map_err(|_| BadHeader::Unfit)?;
    match (header.command, header.addresses) {
        (v2::Command::Local, _) => Ok(None),
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Ok(Some(addresses.source_address.into())),
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Ok(Some(addresses.source_address.into())),
        (v2::Command::Proxy, _) => Err(BadHeader::NoAddress),
    }
}

/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;

/// What version 2 has before the addresses.
const FIXED: usize = 16;

/// Addresses and what else a load balancer may say (TLVs), which nobody asks for here.
const LONGEST_REST: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of these bytes, and how many are left.
    fn read_all(bytes: &[u8]) -> (Result<Option<IpAddr>, BadHeader>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut rest));
        (read, rest.len())
    }

    fn binary_header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [
            b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
            &[0x20 | command, family],
            &length,
            addresses,
        ]
        .concat()
    }

    #[test]
    fn both_versions_name_the_client_and_leave_what_follows() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        for (header, named) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n".to_vec(), "192.0.2.1"),
            (
                b"PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n".to_vec(),
                "2001:db8::1",
            ),
            (binary_header(1, 0x11, &four), "192.0.2.1"),
            (
                binary_header(1, 0x11, &[&four[..], &[4, 0, 1, 7]].concat()),
                "192.0.2.1",
            ),
            (binary_header(1, 0x21, &six), "2001:db8::1"),
        ] {
            let (read, left) = read_all(&[header.as_slice(), b"\x16\x03\x01"].concat());
            assert_eq!(read.unwrap(), Some(named.parse().unwrap()), "{header:?}");
            assert_eq!(left, 3);
        }
        assert_eq!(
            read_all(&binary_header(0, 0, &[])).0.unwrap(),
            None,
            "it speaks for itself"
        );
    }

    #[test]
    fn what_is_no_header_or_names_nobody_is_refused() {
        let too_long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200], b"\r\n"].concat();
        for bytes in [
            b"".as_slice(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00",
            b"PROXY UNKNOWN\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
            b"proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
            &too_long,
            &binary_header(1, 0x11, &[1, 2, 3]),
            &binary_header(1, 0x31, &[0; 216]),
            &binary_header(1, 0, &[]),
            &binary_header(1, 0x11, &[0; 3000]),
            &binary_header(2, 0x11, &[0; 12]),
        ] {
            assert!(read_all(bytes).0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
            let _ = read_all(&[b"PROXY ".as_slice(), &bytes].concat());
            let _ = read_all(&[b"\r\n\r\n\0\r\nQUIT\n\x21".as_slice(), &bytes].concat());
        }
    }
}
