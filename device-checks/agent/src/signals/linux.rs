//! What does a Linux machine know of itself? Read from its files below a root, so that a made-up tree can stand for
//! one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use device_checks::wire::{OsVersion, Signal, SignalReport};

use super::{Collector, Programs, disk, firewall};

/// A Linux machine.
pub struct Linux<P> {
    root: PathBuf,
    programs: P,
    /// Whether the configured TPM answered, where one is configured and was asked.
    answering_tpm: Option<bool>,
}

impl<P: Programs> Linux<P> {
    /// The machine whose files are below this root (`/`).
    pub fn new(root: PathBuf, programs: P, answering_tpm: Option<bool>) -> Self {
        Self {
            root,
            programs,
            answering_tpm,
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn os(&self) -> Option<OsVersion> {
        let release = self
            .text("etc/os-release")
            .or_else(|| self.text("usr/lib/os-release"))?;
        version(&value_of(&release, "VERSION_ID")?)
    }

    fn serial(&self) -> Option<String> {
        self.text("sys/class/dmi/id/product_serial")
            .filter(|serial| !UNSET_SERIALS.contains(&serial.to_lowercase().as_str()))
    }

    /// Whether there is a TPM, and its version. That there is none is known only where the kernel lists devices.
    fn tpm(&self) -> (Option<bool>, Option<String>) {
        if self.answering_tpm == Some(true) {
            return (Some(true), Some("2.0".to_owned()));
        }
        if !self.root.join("sys/class/tpm/tpm0").exists() {
            let listed = self.root.join("sys/class").is_dir();
            return (listed.then_some(false), None);
        }
        let version = match self.text("sys/class/tpm/tpm0/tpm_version_major").as_deref() {
            Some("2") => Some("2.0".to_owned()),
            Some("1") => Some("1.2".to_owned()),
            _ => None,
        };
        (Some(true), version)
    }

    /// The variable is four octets of attributes and one of value (UEFI specification, section 3.3).
    fn secure_boot(&self) -> Option<bool> {
        let file = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        // Where shim was told to verify nothing, the firmware's word does not help.
        let shim = fs::read(
            self.root
                .join("sys/firmware/efi/efivars/MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"),
        );
        if shim.is_ok_and(|value| value.last() != Some(&0)) {
            return Some(false);
        }
        match fs::read(self.root.join(file)).ok()?.as_slice() {
            [_, _, _, _, 1] => Some(true),
            [_, _, _, _, 0] => Some(false),
            _ => None,
        }
    }

    /// GNOME's own setting, or logind's; a desktop that neither speaks for is not known.
    fn screen_lock(&self) -> Option<bool> {
        self.gnome_lock().or_else(|| self.logind_lock())
    }

    fn gnome_lock(&self) -> Option<bool> {
        let desktop = self.programs.variable("XDG_CURRENT_DESKTOP")?;
        if !desktop.split(':').any(|name| name.eq_ignore_ascii_case("gnome")) {
            return None;
        }
        let setting = |schema: &str, key: &str| self.programs.ask("gsettings", &["get", schema, key]);
        let locks = setting("org.gnome.desktop.screensaver", "lock-enabled")?;
        let idle = setting("org.gnome.desktop.session", "idle-delay")?;
        let never = idle.trim() == "uint32 0";
        let forbidden = setting("org.gnome.desktop.lockdown", "disable-lock-screen");
        let forbidden = forbidden.is_some_and(|forbidden| forbidden.trim() == "true");
        Some(locks.trim() == "true" && !never && !forbidden)
    }

    fn logind_lock(&self) -> Option<bool> {
        let mut files = vec![self.root.join("etc/systemd/logind.conf")];
        // Of files of the same name the first folder's counts, whatever it says (systemd.conf(5)).
        let mut more: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for folder in ["etc", "run", "usr/lib"] {
            let folder = self.root.join(folder).join("systemd/logind.conf.d");
            for file in fs::read_dir(folder).into_iter().flatten().flatten() {
                more.entry(file.file_name()).or_insert_with(|| file.path());
            }
        }
        let is_read = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "conf");
        files.extend(more.into_values().filter(is_read));
        let set = |file: &PathBuf| value_of(&fs::read_to_string(file).ok()?, "IdleAction");
        let last = files.iter().filter_map(set).next_back()?;
        (last == "lock").then_some(true)
    }
}

impl<P: Programs> Collector for Linux<P> {
    fn collect(&self, wanted: &[Signal]) -> SignalReport {
        let mut report = SignalReport::default();
        for signal in wanted {
            match signal {
                Signal::Os => report.os = self.os(),
                Signal::Kernel => report.kernel = self.text("proc/sys/kernel/osrelease"),
                Signal::Serial => report.serial = self.serial(),
                Signal::Tpm => (report.tpm, report.tpm_version) = self.tpm(),
                Signal::SecureBoot => report.secure_boot = self.secure_boot(),
                Signal::DiskEncrypted => report.disk_encrypted = disk::root_is_encrypted(&self.root),
                Signal::ScreenLock => report.screen_lock = self.screen_lock(),
                Signal::Firewall => report.firewall = firewall::runs(&self.root, &self.programs),
            }
        }
        report
    }
}

/// The value of `NAME=value` or `NAME="value"`, the last one counting.
pub(super) fn value_of(text: &str, name: &str) -> Option<String> {
    let value = |line: &str| {
        let value = line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim();
        let unquoted = value.trim_matches(|quote| quote == '"' || quote == '\'');
        Some(unquoted.to_owned())
    };
    text.lines().filter_map(value).next_back()
}

/// `22.04` is 22.4.0; a version with anything else in it is not known.
fn version(text: &str) -> Option<OsVersion> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match parts?.as_slice() {
        [major] => Some((*major, 0, 0)),
        [major, minor] => Some((*major, *minor, 0)),
        [major, minor, patch, ..] => Some((*major, *minor, *patch)),
        [] => None,
    }
    .map(|(major, minor, patch)| OsVersion { major, minor, patch })
}

/// What makers leave in where nobody set a serial number.
const UNSET_SERIALS: [&str; 7] = [
    "0",
    "none",
    "not specified",
    "default string",
    "to be filled by o.e.m.",
    "system serial number",
    "not applicable",
];

#[cfg(test)]
mod tests;
