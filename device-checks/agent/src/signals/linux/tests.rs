use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

#[test]
fn a_bare_tree_says_nothing() {
    let tree = Tree::new();
    assert_eq!(tree.collect(&Signal::ALL), SignalReport::default());
}

#[test]
fn only_what_is_asked_for_is_said() {
    let tree = Tree::new();
    tree.put("etc/os-release", "VERSION_ID=\"22.04\"\n");
    tree.put("proc/sys/kernel/osrelease", "6.8.0-31\n");

    let report = tree.collect(&[Signal::Kernel]);

    assert_eq!(report.signals().collect::<Vec<_>>(), [Signal::Kernel]);
    assert_eq!(report.kernel.as_deref(), Some("6.8.0-31"));
    assert!(tree.collect(&[]).signals().next().is_none());
    assert_eq!(tree.collect(&Signal::ALL).signals().count(), 2);
}

#[test]
fn the_systems_version_is_read_from_its_release_file() {
    for (text, expected) in [
        ("ID=x\nVERSION_ID=\"22.04\"\n", Some((22, 4, 0))),
        ("VERSION_ID=12", Some((12, 0, 0))),
        ("VERSION_ID='15.6.1'", Some((15, 6, 1))),
        ("VERSION_ID=rolling", None),
        ("NAME=x", None),
    ] {
        let tree = Tree::new();
        tree.put("usr/lib/os-release", text);
        let found = tree.collect(&[Signal::Os]).os;
        assert_eq!(found.map(|os| (os.major, os.minor, os.patch)), expected, "{text}");
    }
}

#[test]
fn a_serial_number_that_nobody_set_is_none() {
    let tree = Tree::new();
    for (text, expected) in [
        ("PF3XK2\n", Some("PF3XK2")),
        ("To Be Filled By O.E.M.\n", None),
        ("\n", None),
    ] {
        tree.put("sys/class/dmi/id/product_serial", text);
        assert_eq!(tree.collect(&[Signal::Serial]).serial.as_deref(), expected, "{text}");
    }
}

#[test]
fn a_tpm_is_known_by_the_kernel_or_by_its_answer() {
    let tree = Tree::new();
    let tpm = |tree: &Tree| {
        let report = tree.collect(&[Signal::Tpm]);
        (report.tpm, report.tpm_version)
    };
    assert_eq!(tpm(&tree), (None, None));
    tree.put("sys/class/net/x", "");
    assert_eq!(tpm(&tree), (Some(false), None));
    tree.put("sys/class/tpm/tpm0/tpm_version_major", "2\n");
    assert_eq!(tpm(&tree), (Some(true), Some("2.0".to_owned())));
    tree.put("sys/class/tpm/tpm0/tpm_version_major", "1\n");
    assert_eq!(tpm(&tree), (Some(true), Some("1.2".to_owned())));

    let answering = Tree {
        answering_tpm: Some(true),
        ..Tree::new()
    };
    assert_eq!(tpm(&answering), (Some(true), Some("2.0".to_owned())));
}

#[test]
fn secure_boot_is_the_last_octet_of_its_variable() {
    let tree = Tree::new();
    let file = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    for (octets, expected) in [
        (&[6, 0, 0, 0, 1][..], Some(true)),
        (&[6, 0, 0, 0, 0], Some(false)),
        (&[1], None),
    ] {
        tree.put_octets(file, octets);
        assert_eq!(tree.collect(&[Signal::SecureBoot]).secure_boot, expected);
    }
}

#[test]
fn a_root_on_dm_crypt_is_encrypted_however_deep_it_lies() {
    let disk = |tree: &Tree| tree.collect(&[Signal::DiskEncrypted]).disk_encrypted;
    let plain = Tree::new();
    plain.put("proc/self/mountinfo", "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n");
    assert_eq!(disk(&plain), None, "no such device");
    plain.put("sys/dev/block/8:2/size", "1");
    assert_eq!(disk(&plain), Some(false));

    let crypt = Tree::new();
    crypt.put(
        "proc/self/mountinfo",
        "20 1 0:5 / /proc rw - proc proc rw\n22 1 253:1 / / rw - ext4 /dev/dm-1 rw\n",
    );
    crypt.put("sys/dev/block/253:1/dm/uuid", "LVM-abc\n");
    crypt.put("sys/dev/block/253:1/slaves/dm-0/dm/uuid", "CRYPT-LUKS2-abc\n");
    assert_eq!(disk(&crypt), Some(true), "a volume on an encrypted disk");
    crypt.put("sys/dev/block/253:1/slaves/sdb1/size", "1");
    assert_eq!(disk(&crypt), Some(false), "a second disk is not encrypted");
}

#[test]
fn a_file_system_with_a_number_of_its_own_is_followed_to_its_device() {
    let tree = Tree::new();
    tree.put(
        "proc/self/mountinfo",
        "22 1 0:30 /@ / rw shared:1 - btrfs /dev/mapper/root rw\n",
    );
    tree.put("sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-abc-root\n");
    fs::create_dir_all(tree.path().join("dev/mapper")).unwrap();
    symlink("../dm-0", tree.path().join("dev/mapper/root")).unwrap();
    assert_eq!(tree.collect(&[Signal::DiskEncrypted]).disk_encrypted, Some(true));

    tree.put("proc/self/mountinfo", "22 1 0:30 / / rw - overlay overlay rw\n");
    assert_eq!(tree.collect(&[Signal::DiskEncrypted]).disk_encrypted, None);
}

#[test]
fn the_screen_lock_is_gnomes_or_logind_s_word() {
    let lock = |tree: &Tree| tree.collect(&[Signal::ScreenLock]).screen_lock;
    let gnome = |locks: &'static str, idle: &'static str| Tree {
        says: vec![("lock-enabled", locks), ("idle-delay", idle)],
        desktop: Some("ubuntu:GNOME"),
        ..Tree::new()
    };
    assert_eq!(lock(&gnome("true\n", "uint32 300\n")), Some(true));
    assert_eq!(lock(&gnome("false\n", "uint32 300\n")), Some(false));
    assert_eq!(
        lock(&gnome("true\n", "uint32 0\n")),
        Some(false),
        "it never comes to it"
    );
    let kde = Tree {
        desktop: Some("KDE"),
        ..gnome("true\n", "uint32 300\n")
    };
    assert_eq!(lock(&kde), None);

    kde.put(
        "etc/systemd/logind.conf",
        "[Login]\n#IdleAction=ignore\nIdleAction=ignore\n",
    );
    assert_eq!(lock(&kde), None);
    kde.put("etc/systemd/logind.conf.d/10.conf", "[Login]\nIdleAction=lock\n");
    assert_eq!(lock(&kde), Some(true));
}

#[test]
fn a_firewall_runs_where_one_says_so() {
    let firewall = |tree: &Tree| tree.collect(&[Signal::Firewall]).firewall;
    let nft = |rules: &'static str| Tree {
        says: vec![("ruleset", rules)],
        ..Tree::new()
    };
    let drops = r#"{"nftables":[{"metainfo":{}},{"chain":{"family":"ip","hook":"input","policy":"drop"}}]}"#;
    let rejects = r#"{"nftables":[{"chain":{"family":"inet","table":"t","name":"in","hook":"input","policy":"accept"}},
        {"rule":{"family":"inet","table":"t","chain":"in","expr":[{"counter":null},{"reject":null}]}}]}"#;
    let accepts = r#"{"nftables":[{"chain":{"family":"ip","hook":"input","policy":"accept"}}]}"#;
    let one_address = r#"{"nftables":[{"chain":{"family":"ip","table":"t","name":"in","hook":"input"}},
        {"rule":{"family":"ip","table":"t","chain":"in","expr":[{"match":{}},{"drop":null}]}}]}"#;
    let other_chain = r#"{"nftables":[{"rule":{"family":"ip","table":"t","chain":"INPUT","expr":[{"drop":null}]}}]}"#;
    let bridge = r#"{"nftables":[{"chain":{"family":"bridge","hook":"input","policy":"drop"}}]}"#;
    assert_eq!(firewall(&nft(drops)), Some(true));
    assert_eq!(firewall(&nft(rejects)), Some(true));
    for open in [accepts, one_address, other_chain, bridge] {
        assert_eq!(firewall(&nft(open)), Some(false), "{open}");
    }
    assert_eq!(firewall(&nft("no json")), None);

    let ufw = Tree {
        says: vec![("ufw.service", "active\n")],
        ..Tree::new()
    };
    ufw.put("etc/ufw/ufw.conf", "# comment\nENABLED=no\n");
    assert_eq!(firewall(&ufw), None);
    ufw.put("etc/ufw/ufw.conf", "ENABLED=yes\n");
    assert_eq!(firewall(&ufw), Some(true));
    let stopped = Tree::new();
    stopped.put("etc/ufw/ufw.conf", "ENABLED=yes\n");
    assert_eq!(firewall(&stopped), None);
    let firewalld = Tree {
        says: vec![("firewalld.service", "active\n")],
        ..Tree::new()
    };
    assert_eq!(firewall(&firewalld), Some(true));
}

/// A made-up machine.
struct Tree {
    folder: tempfile::TempDir,
    says: Vec<(&'static str, &'static str)>,
    desktop: Option<&'static str>,
    answering_tpm: Option<bool>,
}

impl Tree {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            says: Vec::new(),
            desktop: None,
            answering_tpm: None,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&self, file: &str, text: &str) {
        self.put_octets(file, text.as_bytes());
    }

    fn put_octets(&self, file: &str, octets: &[u8]) {
        let file = self.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, octets).unwrap();
    }

    fn collect(&self, wanted: &[Signal]) -> SignalReport {
        let programs = Fake {
            says: self.says.clone(),
            desktop: self.desktop,
        };
        Linux::new(self.path().to_owned(), programs, self.answering_tpm).collect(wanted)
    }
}

/// Programs that say what they were told to, by their last argument.
struct Fake {
    says: Vec<(&'static str, &'static str)>,
    desktop: Option<&'static str>,
}

impl Programs for Fake {
    fn ask(&self, _program: &str, arguments: &[&str]) -> Option<String> {
        let said = self.says.iter().find(|(last, _)| arguments.last() == Some(last))?;
        Some(said.1.to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        let desktop = self.desktop.filter(|_| name == "XDG_CURRENT_DESKTOP")?;
        Some(desktop.to_owned())
    }
}
