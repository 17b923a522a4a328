//! The parsers of foreign bytes.

mod answers;
mod bodies;
mod documents;
mod texts;
mod webhooks;

/// One parser, or several that read the same bytes.
pub struct Target {
    /// Its name, and that of its folder of inputs.
    pub name: &'static str,
    /// Feeds it; says in a few words what came of the bytes, and panics when it must not be.
    pub feed: fn(&[u8]) -> String,
    /// Texts that mean something to it.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    answers::STRIPE,
    answers::PAYPAL,
    webhooks::STRIPE,
    webhooks::PAYPAL,
    bodies::PAYMENT,
    bodies::USER,
    bodies::PAYMENT_METHOD,
    bodies::WEBHOOK_ENDPOINT,
    documents::CONFIG,
    documents::SETTINGS,
    texts::MONEY,
    texts::IDS,
    texts::KEYS,
];
