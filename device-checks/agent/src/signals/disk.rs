//! Is the system disk encrypted? Whether everything below the root's file system is a dm-crypt device.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether it is; nothing where that cannot be told.
pub(super) fn root_is_encrypted(root: &Path) -> Option<bool> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let device = backing_device(root, &mounts)?;
    is_encrypted(&device, DEEPEST)
}

/// The folder in /sys of the device that `/` is on (proc_pid_mountinfo(5)).
fn backing_device(root: &Path, mounts: &str) -> Option<PathBuf> {
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let number = mount.split(' ').nth(2)?;
    if !number.starts_with("0:") {
        return Some(root.join("sys/dev/block").join(number));
    }
    // Some file systems have numbers of their own: what was mounted leads to the device.
    let source = mount.split(" - ").nth(1)?.split(' ').nth(1)?;
    let path = root.join(source.strip_prefix("/dev/").map(|name| Path::new("dev").join(name))?);
    let name = match fs::read_link(&path) {
        Ok(target) => target.file_name()?.to_owned(),
        Err(_) => path.file_name()?.to_owned(),
    };
    Some(root.join("sys/class/block").join(name))
}

fn is_encrypted(device: &Path, depth: u32) -> Option<bool> {
    if !device.exists() || depth == 0 {
        return None;
    }
    if let Ok(uuid) = fs::read_to_string(device.join("dm/uuid"))
        && CIPHERS.iter().any(|kind| uuid.starts_with(kind))
    {
        return Some(true);
    }
    let below: Vec<PathBuf> = fs::read_dir(device.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    if below.is_empty() {
        return Some(false);
    }
    below
        .iter()
        .map(|device| is_encrypted(device, depth - 1))
        .try_fold(true, |all, one| Some(all && one?))
}

/// How the names of encrypting devices begin; dm-verity and dm-integrity are `CRYPT-` too, and hide nothing.
const CIPHERS: [&str; 5] = [
    "CRYPT-LUKS1-",
    "CRYPT-LUKS2-",
    "CRYPT-PLAIN-",
    "CRYPT-TCRYPT-",
    "CRYPT-BITLK-",
];

/// Devices do not stand on each other deeper than this.
const DEEPEST: u32 = 8;
