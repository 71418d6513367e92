//! Could a stranger tell cases apart by how long their answers take? The fastest of each are compared: what is slower than
//! those, the machine was busy with something else.

use std::time::Duration;

/// Checks that the fastest answers of all cases take about as long.
///
/// # Panics
/// When one takes more than twice as long as another and two milliseconds, which nobody sees over a network.
pub fn assert_alike(times: &[Vec<Duration>]) {
    let fastest: Vec<Duration> = times.iter().map(|times| *times.iter().min().unwrap()).collect();
    let (least, most) = (*fastest.iter().min().unwrap(), *fastest.iter().max().unwrap());
    assert!(most < least * 2 + UNSEEN, "{fastest:?}");
}

/// See [`assert_alike`].
const UNSEEN: Duration = Duration::from_millis(2);
