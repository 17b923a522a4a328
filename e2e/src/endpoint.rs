//! Where merchants are told of events: a server of HTTP/1.1 on the loopback that costs little.

use anyhow::Result;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What a sender is told: a status is all that it looks at.
pub(crate) type Answer = Response<Empty<Bytes>>;

/// Listens: its port. Each message is taken whole; where `take` fails, the sender's connection ends without an answer.
pub(crate) async fn listen<T, A>(take: T) -> Result<u16>
where
    T: Fn(Parts, Bytes) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, take.clone()));
        }
    });
    Ok(port)
}

async fn serve<T, A>(stream: TcpStream, take: T)
where
    T: Fn(Parts, Bytes) -> A,
    A: Future<Output = Result<Answer>>,
{
    let take = &take;
    let service = service_fn(move |request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        take(head, body.collect().await?.to_bytes()).await
    });
    // A sender that was killed hangs up within a message, and sends the event again. Where the option is refused, the
    // connection is gone already.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
