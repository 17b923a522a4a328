//! Messages of HTTP/1.1 on a plain stream, for a load and a receiver that cost almost nothing.

use anyhow::{Result, bail, ensure};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// Longer than any message that is expected here.
const MESSAGE_MAX: usize = 256 * 1024;

/// Reads until the buffer begins with a whole message: where its head and where it itself ends. Nothing when the other
/// side has closed.
pub(crate) async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<(usize, usize)>> {
    loop {
        if let Some(head) = find(buffer, b"\r\n\r\n") {
            let end = head + 4 + content_length(&buffer[..head])?;
            if buffer.len() >= end {
                return Ok(Some((head, end)));
            }
        }
        ensure!(buffer.len() < MESSAGE_MAX, "a message of more than {MESSAGE_MAX} bytes");
        if stream.read_buf(buffer).await? == 0 {
            if buffer.is_empty() {
                return Ok(None);
            }
            bail!("the connection ended within a message");
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    // 204 has none.
    header(head, b"content-length").map_or(Ok(0), |value| Ok(value.parse()?))
}

/// A header's value, whatever the case of its name.
pub(crate) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(colon) = line.iter().position(|byte| *byte == b':')
            && line[..colon].eq_ignore_ascii_case(name)
        {
            return std::str::from_utf8(&line[colon + 1..]).ok().map(str::trim);
        }
    }
    None
}

/// Where a text has another for the first time.
pub(crate) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = what.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| byte == first) {
        if text[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_understood() {
        let head = b"HTTP/1.1 201 Created\r\nContent-Length: 17\r\nWebhook-Id: evt_1";
        assert_eq!(content_length(head).unwrap(), 17);
        assert_eq!(content_length(b"HTTP/1.1 204 No Content").unwrap(), 0);
        assert_eq!(header(head, b"webhook-id"), Some("evt_1"));
        assert_eq!(find(b"a\r\nb\r\n\r\nc", b"\r\n\r\n"), Some(4));
        assert_eq!(find(b"abc", b"abcd"), None);
    }
}
