#![no_main]
//! Does a PROXY header name who a plain reading of it names, and nothing of what follows?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use latchkey::fuzzing::read_proxy_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok((named, taken)) = read_proxy_header(octets) else {
        return;
    };
    let (header, after) = octets.split_at(taken);
    assert_eq!(named, plainly(header), "{header:?}");
    assert_eq!(
        read_proxy_header(header),
        Ok((named, taken)),
        "it depends on what follows"
    );
    assert!(read_proxy_header(&header[..taken - 1]).is_err(), "half of it is taken");
    if let Some(named) = named {
        for again in [line(named), binary(named)] {
            let followed = [again.as_slice(), after].concat();
            assert_eq!(read_proxy_header(&followed), Ok((Some(named), again.len())));
        }
    }
});

/// Who is named, read by the letter of the specification.
fn plainly(header: &[u8]) -> Option<IpAddr> {
    if header.starts_with(b"PROXY ") {
        let line = std::str::from_utf8(header).unwrap().strip_suffix("\r\n").unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let ["PROXY", family, source, target, from, to] = words.as_slice() else {
            panic!("not six words: {line:?}");
        };
        let (source, target): (IpAddr, IpAddr) = (source.parse().unwrap(), target.parse().unwrap());
        assert_eq!(*family == "TCP4", source.is_ipv4());
        assert_eq!(source.is_ipv4(), target.is_ipv4());
        for port in [from, to] {
            assert!(port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok());
        }
        return Some(source);
    }
    assert_eq!(&header[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(
        header.len(),
        16 + usize::from(u16::from_be_bytes([header[14], header[15]]))
    );
    match (header[12], header[13] >> 4) {
        (0x20, _) => None,
        (0x21, 1) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(&header[16..20]).unwrap()).into()),
        (0x21, 2) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(&header[16..32]).unwrap()).into()),
        (command, family) => panic!("command {command:#x}, family {family}"),
    }
}

fn line(source: IpAddr) -> Vec<u8> {
    let (family, target) = if source.is_ipv4() {
        ("TCP4", "192.0.2.9")
    } else {
        ("TCP6", "2001:db8::9")
    };
    format!("PROXY {family} {source} {target} 4660 443\r\n").into_bytes()
}

fn binary(source: IpAddr) -> Vec<u8> {
    let (family, addresses) = match source {
        IpAddr::V4(source) => (
            0x11,
            [source.octets().as_slice(), &[192, 0, 2, 9], &[0x12, 0x34, 1, 0xbb]].concat(),
        ),
        IpAddr::V6(source) => (
            0x21,
            [source.octets().as_slice(), &[0x20; 16], &[0x12, 0x34, 1, 0xbb]].concat(),
        ),
    };
    let length = u8::try_from(addresses.len()).unwrap();
    [
        b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
        &[0x21, family, 0, length],
        &addresses,
    ]
    .concat()
}
