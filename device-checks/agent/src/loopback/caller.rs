//! Whose process is at the other end of a connection on this machine? As the kernel's tables of sockets say.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Whether the process that connected from `peer` to `own` runs as the user that this one runs as. Who is not known is not.
pub(super) fn is_own_user(peer: SocketAddrV4, own: SocketAddrV4) -> bool {
    let Some(user) = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| effective_user(&status))
    else {
        return false;
    };
    // The kernel does not hold its tables still while they are read: a row can be passed over once.
    (0..TRIES).find_map(|_| find(peer, own)) == Some(user)
}

/// The user who owns the open connection from `peer` to `own` in a table such as `/proc/net/tcp`, seen from the peer's end.
pub fn owner(table: &str, peer: SocketAddrV4, own: SocketAddrV4) -> Option<u32> {
    let ends = [
        [short(peer), short(own)],
        // A socket of IPv6 that talks IPv4.
        [mapped(peer), mapped(own)],
    ];
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<&str> = row.split_ascii_whitespace().collect();
        let [_, local, remote, state, _, _, _, user, _, inode, ..] = columns.as_slice() else {
            return None;
        };
        let is_it = ends.iter().any(|[from, to]| local == from && remote == to);
        // Without an inode no process has it any more, and the user is not the one it was.
        (is_it && *state == ESTABLISHED && *inode != "0").then(|| user.parse().ok())?
    })
}

fn find(peer: SocketAddrV4, own: SocketAddrV4) -> Option<u32> {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .find_map(|table| owner(&fs::read_to_string(table).ok()?, peer, own))
}

/// The second of the four numbers of `Uid:`.
fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// As the tables write it: the address as the number that this machine makes of its octets.
fn short(end: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", number(*end.ip()), end.port())
}

fn mapped(end: SocketAddrV4) -> String {
    let prefix = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    format!("{:016X}{prefix:08X}{}", 0, short(end))
}

fn number(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

const ESTABLISHED: &str = "01";
const TRIES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn end(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    fn row(local: &str, remote: &str, state: &str, user: u32, inode: u32) -> String {
        format!(
            "   3: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {user:5}        0 {inode} 1 0 20 4\n"
        )
    }

    #[test]
    fn the_owner_of_the_other_end_is_found() {
        let (peer, own) = (short(end(40_000)), short(end(47_600)));
        let table = HEADING.to_owned()
            + &row(&own, &peer, "01", 1000, 7)
            + &row(&peer, &short(end(80)), "01", 1, 8)
            + &row(&peer, &own, "01", 1001, 9);

        assert_eq!(
            owner(&table, end(40_000), end(47_600)),
            Some(1001),
            "not ours, at the same ports"
        );
        assert_eq!(owner(&table, end(40_001), end(47_600)), None);
        assert_eq!(owner(HEADING, end(40_000), end(47_600)), None);
    }

    #[test]
    fn a_socket_of_ipv6_that_talks_ipv4_is_found() {
        let table = HEADING.to_owned() + &row(&mapped(end(40_000)), &mapped(end(47_600)), "01", 1001, 9);
        assert_eq!(owner(&table, end(40_000), end(47_600)), Some(1001));
        assert_eq!(owner(&table, end(40_001), end(47_600)), None);
    }

    /// The kernel says that root owns what no process has any more.
    #[test]
    fn a_connection_that_is_closed_or_that_no_process_has_is_nobodys() {
        let (peer, own) = (short(end(40_000)), short(end(47_600)));
        for (state, inode, expected) in [("01", 9, Some(0)), ("06", 0, None), ("01", 0, None), ("05", 9, None)] {
            let table = HEADING.to_owned() + &row(&peer, &own, state, 0, inode);
            assert_eq!(owner(&table, end(40_000), end(47_600)), expected, "{state} {inode}");
        }
    }

    #[test]
    fn rows_that_are_cut_off_are_passed_over() {
        let (peer, own) = (short(end(40_000)), short(end(47_600)));
        let whole = row(&peer, &own, "01", 1001, 9);
        for length in 0..whole.find(" 9 ").unwrap() {
            let table = format!("{HEADING}{}\n", &whole[..length]);
            assert_eq!(owner(&table, end(40_000), end(47_600)), None, "{length}");
        }
        assert!(owner(&(HEADING.to_owned() + &whole), end(40_000), end(47_600)).is_some());
    }

    #[test]
    fn this_users_connection_is_known_from_the_kernels_own_table() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let peer = client.local_addr().unwrap().port();

        assert!(is_own_user(end(peer), end(port)));
        assert!(!is_own_user(end(peer), end(port.wrapping_add(1))));
    }

    #[test]
    fn the_effective_user_is_read() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1000\t1001\t1002\t1003\n"), Some(1001));
        assert_eq!(effective_user("Name:\tx\n"), None);
    }
}
