//! Sizes and times that both ends must agree on.

use std::time::Duration;

/// The largest message either side sends or accepts, in bytes.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// The largest alert, in bytes: whatever carries one on has room for more beside it.
pub const ALERT_BYTES: usize = MESSAGE_BYTES / 4 * 3;

/// The most characters of each part of a contact.
pub const CONTACT_CHARS: usize = 200;

/// The most feeds that an agency tells of.
pub const FEEDS: usize = 256;

/// Rows in one message of a token stream; also rows in one stored segment.
pub const SEGMENT_ROWS: usize = 4096;

/// The most handles in one `Compare`, `QueryDwellings` or `QuerySignals`.
pub const HANDLES_PER_QUERY: usize = 4096;

/// The width of a token on the wire, in bytes. Collisions stay negligible beyond 5e9 tokens, and a
/// link needs several.
pub const TOKEN_BYTES: usize = 8;

/// The most a sweep's counter may jump ahead of what a node has seen.
pub const SWEEP_JUMP: u64 = 1000;

/// A token that more of a node's records share than this is suppressed by the node.
pub const TOKEN_MAX_RECORDS: usize = 50;

/// Counts below this are not sent.
pub const K_THRESHOLD: u64 = 10;

/// How often each side asks an idle connection whether the other still lives. Below the idle
/// limits of common firewalls.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait for the answer before the connection counts as dead.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// HTTP/2 windows and frames. The receiver sets them; windows times nodes bound its memory.
pub const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// See [`STREAM_WINDOW_BYTES`].
pub const FRAME_BYTES: u32 = 256 << 10;
