//! The merchant whose payments are tests, a key of it for as long as a check lasts, and those who pay.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::CheckError;
use crate::database::Doing;
use crate::ids::{MerchantId, PaymentMethodId, UserId};
use crate::merchants::ApiKey;
use crate::migrate;
use crate::processor::test_mode;

/// The test merchant of every platform: the same id everywhere, made on the first of January 2024.
const ID: Uuid = Uuid::from_u128(0x018c_c251_f400_7000_8000_7075_7273_6572);
const NAME: &str = "Purser's own checks";
/// A reserved domain: no mail is ever read there.
const EMAIL: &str = "checks@purser.invalid";

/// The test merchant, with a key of its own for this check.
pub struct TestMerchant {
    /// Its id.
    pub id: MerchantId,
    /// A key that ends soon by itself.
    pub key: SecretString,
    hash: String,
}

impl TestMerchant {
    /// Makes the merchant if there is none yet, and a key that works until `until`. `owner`: whose database it has to be.
    ///
    /// # Errors
    /// [`CheckError`]; then no payment can be made.
    pub async fn enter(
        connection: &mut PgConnection,
        owner: Option<&str>,
        until: DateTime<Utc>,
    ) -> Result<Self, CheckError> {
        look(connection, owner).await?;
        let id = MerchantId::from_uuid(ID);
        make(connection, id).await?;
        let key = ApiKey::generate(&mut rand::rng());
        let hash = key.hash();
        // Left by checks that were killed.
        sqlx::query("delete from api_keys where merchant_id = $1 and expires_at < now()")
            .bind(id)
            .execute(&mut *connection)
            .await
            .doing("could not forget old keys of the test merchant")?;
        sqlx::query("insert into api_keys (hash, merchant_id, prefix, expires_at) values ($1, $2, $3, $4)")
            .bind(&hash)
            .bind(id)
            .bind(key.shown())
            .bind(until)
            .execute(connection)
            .await
            .doing("could not make a key of the test merchant")?;
        Ok(Self { id, key: SecretString::from(key.expose()), hash })
    }

    /// So many users, each with a payment method that pays.
    ///
    /// # Errors
    /// When the database refuses or does not answer.
    pub async fn payers(
        &self,
        connection: &mut PgConnection,
        count: usize,
    ) -> Result<Vec<PaymentMethodId>, CheckError> {
        let now = Utc::now();
        let users: Vec<Uuid> = (0..count).map(|_| UserId::at(now).as_uuid()).collect();
        let methods: Vec<PaymentMethodId> = (0..count).map(|_| PaymentMethodId::at(now)).collect();
        sqlx::query(
            "with asked as (select * from unnest($1::uuid[], $2::uuid[]) as asked (user_id, method_id)), made as (
                 insert into users (id, merchant_id, email, created_at, updated_at)
                 select user_id, $3, user_id || '@purser.invalid', $4, $4 from asked
             )
             insert into payment_methods (id, user_id, type, token, created_at, updated_at)
             select method_id, user_id, 'CREDIT_CARD', $5, $4, $4 from asked",
        )
        .bind(users)
        .bind(methods.iter().map(|method| method.as_uuid()).collect::<Vec<_>>())
        .bind(self.id)
        .bind(now)
        .bind(test_mode::APPROVED)
        .execute(connection)
        .await
        .doing("could not make those who pay")?;
        Ok(methods)
    }

    /// Ends the key. One that cannot be ended now ends by itself.
    pub async fn leave(self, connection: &mut PgConnection) {
        let ended = sqlx::query("delete from api_keys where hash = $1").bind(&self.hash).execute(connection).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "the key of this check was not ended; it ends by itself");
        }
    }
}

/// Whether this is the right database, and one that knows of tests.
async fn look(connection: &mut PgConnection, owner: Option<&str>) -> Result<(), CheckError> {
    let knows: bool = sqlx::query_scalar(
        "select exists (select from pg_attribute
         where attrelid = to_regclass('merchants') and attname = 'is_test' and not attisdropped)",
    )
    .fetch_one(&mut *connection)
    .await
    .doing("could not look for the schema")?;
    if !knows {
        return Err(CheckError::NoSchema);
    }
    match (owner, migrate::owner_of(connection).await?) {
        (Some(owner), Some(found)) if owner != found => Err(CheckError::OwnedByAnother(found)),
        _ => Ok(()),
    }
}

/// The key that is stored with it is nobody's: its payments are made with keys that end.
async fn make(connection: &mut PgConnection, id: MerchantId) -> Result<(), CheckError> {
    let nobodys = ApiKey::generate(&mut rand::rng());
    sqlx::query(
        "insert into merchants (id, name, email, api_key, api_key_prefix, fee_percentage, is_test, created_at)
         values ($1, $2, $3, $4, $5, 0, true, $6) on conflict (id) do nothing",
    )
    .bind(id)
    .bind(NAME)
    .bind(EMAIL)
    .bind(nobodys.hash())
    .bind(nobodys.shown())
    .bind(id.created_at())
    .execute(&mut *connection)
    .await
    .doing("could not make the test merchant")?;
    let is_test: bool = sqlx::query_scalar("select is_test from merchants where id = $1")
        .bind(id)
        .fetch_one(connection)
        .await
        .doing("could not look at the test merchant")?;
    if is_test { Ok(()) } else { Err(CheckError::NoTest) }
}
