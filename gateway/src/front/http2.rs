//! How much may one HTTP/2 connection take up? Every limit that the protocol's library has, none left to its default.

use std::time::Duration;

use pingora::protocols::http::v2::server::H2Options;

use crate::config::Limits;

/// What every HTTP/2 connection is held to; one that goes beyond is told to calm down (RFC 9113, section 7) and ends.
pub(crate) fn options(limits: &Limits) -> H2Options {
    let fields = u32::try_from(limits.head_limit).unwrap_or(u32::MAX);
    // The size of fields also bounds how many CONTINUATION frames they come in.
    let mut options = H2Options::default();
    options
        .max_concurrent_streams(limits.http2.streams)
        .max_header_list_size(fields)
        .header_table_size(TABLE)
        .max_frame_size(FRAME)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(UNSENT)
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(Some(ERRORS))
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .reset_stream_duration(MEMORY_OF_RESETS)
        .data_frame_budget(SMALL_FRAMES);
    options
}

/// How much of earlier fields is remembered to decode later ones, in octets.
const TABLE: u32 = 4096;
/// How long a frame may be, in octets.
const FRAME: u32 = 16 * 1024;
/// How much of bodies may arrive before it is read, in octets, for a stream and for all of a connection's.
const WINDOW: u32 = 65_535;
/// How much of an answer waits for its client to take it, in octets, for each stream.
const UNSENT: usize = 64 * 1024;
/// How many streams may be reset by their client before anybody has looked at them.
const RESETS_UNSEEN: usize = 20;
/// How many streams of a connection may have to be reset because of what their client sent. Those that are refused because too
/// many are open count: a client may begin many before it has heard of that limit.
const ERRORS: usize = 500;
/// Of how many streams that were reset it is known, for a moment, that they were.
const RESETS_REMEMBERED: usize = 50;
const MEMORY_OF_RESETS: Duration = Duration::from_secs(1);
/// What small DATA frames that nobody has read yet may cost beside what is in them, in octets.
const SMALL_FRAMES: usize = 32 * 1024;
