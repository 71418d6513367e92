//! Where on *Your account* is somebody? The parts that its head leads to.

/// A part of *Your account*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The first page.
    Overview,
    /// The devices.
    Devices,
    /// What one signs in with.
    Factors,
    /// The sessions.
    Sessions,
    /// What happened.
    Activity,
}

impl Section {
    /// What `aria-current` says of a link to another part.
    pub(super) fn is(self, other: Self) -> bool {
        self == other
    }
}
