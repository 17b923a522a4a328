//! A merchant's endpoint for events, as light as it can be.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::{connection::payment_id, track::Tracker};
use crate::http1::read_message;

const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Listens: its port.
pub(super) async fn start(tracker: Arc<Tracker>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tracker = Arc::clone(&tracker);
            tokio::spawn(async move {
                // A sender that hangs up within a message sends the event again.
                let _ = receive(stream, &tracker).await;
            });
        }
    });
    Ok(port)
}

async fn receive(mut stream: TcpStream, tracker: &Tracker) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while let Some((_, end)) = read_message(&mut stream, &mut buffer).await? {
        if let Some(payment) = payment_id(&buffer[..end]) {
            tracker.told(payment);
        }
        buffer.drain(..end);
        stream.write_all(TAKEN).await?;
    }
    Ok(())
}
