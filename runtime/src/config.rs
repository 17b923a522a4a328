//! What a process reads at start: the contract's document, and secrets from files or the environment.

use std::env;
use std::path::{Path, PathBuf};

use runtime_contract::{RuntimeConfig, paths};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

/// Why a process cannot start as it is told.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A document is not there.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// A document says something that it must not.
    #[error("{path}: {message}", path = path.display())]
    Document {
        /// Where it stands.
        path: PathBuf,
        /// The key and what is wrong with it.
        message: String,
    },
    /// A value is out of its bounds.
    #[error("{key}: {message}")]
    Value {
        /// The key in the document.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A secret is not there.
    #[error("{name} is missing: neither the file {path} nor the environment variable {variable} holds it", path = path.display())]
    MissingSecret {
        /// The secret's name, never its value.
        name: String,
        /// Where its file was looked for.
        path: PathBuf,
        /// The variable that could hold it instead.
        variable: String,
    },
}

/// Reads a YAML or JSON document; unknown keys are refused.
///
/// # Errors
/// When it cannot be read, or says something it must not; the key is named.
pub fn document<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|message| ConfigError::Document { path: path.to_owned(), message })
}

/// The same from a text.
///
/// # Errors
/// What is wrong with it.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut unknown = None;
    let document = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_ignored::deserialize(deserializer, |key| {
            unknown.get_or_insert_with(|| key.to_string());
        })
    });
    let document = document.map_err(|error| error.to_string())?;
    match unknown {
        Some(key) => Err(format!("unknown field `{key}`")),
        None => Ok(document),
    }
}

/// Reads and checks the configuration of a role.
///
/// # Errors
/// As [`document`], and when a value is out of its bounds.
pub fn load(path: &Path) -> Result<RuntimeConfig, ConfigError> {
    let config: RuntimeConfig = document(path)?;
    check(&config)?;
    Ok(config)
}

/// Whether its values are within their bounds.
///
/// # Errors
/// Names the key.
pub fn check(config: &RuntimeConfig) -> Result<(), ConfigError> {
    let refuse = |key, message: &str| Err(ConfigError::Value { key, message: message.to_owned() });
    if !is_owner(&config.owner) {
        return refuse("owner", "a PaymentCluster is named as NAMESPACE/NAME");
    }
    if config.release.trim().is_empty() {
        return refuse("release", "must not be empty");
    }
    let url = config.fraud.url.parse::<http::Uri>();
    if !url.is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()) {
        return refuse("fraud.url", "must be a URL such as http://payments-fraud:8081");
    }
    if !(1..=10_000).contains(&config.fraud.deadline_ms) {
        return refuse("fraud.deadlineMs", "must be between 1 and 10000 milliseconds");
    }
    if config.read_lag_max_ms.is_some_and(|limit| !(1_000..=60_000).contains(&limit)) {
        return refuse("readLagMaxMs", "must be between 1000 and 60000 milliseconds");
    }
    Ok(())
}

/// Whether a text names a PaymentCluster, as NAMESPACE/NAME.
#[must_use]
pub fn is_owner(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'))
}

/// A certificate chain and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the gateway's own certificate first.
    pub certificate: Vec<u8>,
    /// The key of the first.
    pub key: Vec<u8>,
}

/// Where secrets are: a folder of files, and the environment for what is not in it.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Secrets below this folder, which need not exist.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The URL of PostgreSQL: file `database-url`, or `PURSER_DATABASE_URL`.
    ///
    /// # Errors
    /// When neither is there.
    pub fn database_url(&self) -> Result<SecretString, ConfigError> {
        self.required(Path::new(paths::DATABASE_URL), "PURSER_DATABASE_URL")
    }

    /// The URL of a replica that lists are read from: file `database-read-url`, or `PURSER_DATABASE_READ_URL`.
    ///
    /// # Errors
    /// When neither is there.
    pub fn database_read_url(&self) -> Result<SecretString, ConfigError> {
        self.required(Path::new(paths::DATABASE_READ_URL), "PURSER_DATABASE_READ_URL")
    }

    /// The URL of Redis: file `cache-url`, or `PURSER_CACHE_URL`. None when neither is there: then nothing is cached.
    #[must_use]
    pub fn cache_url(&self) -> Option<SecretString> {
        self.required(Path::new(paths::CACHE_URL), "PURSER_CACHE_URL").ok()
    }

    /// The gateway's certificate: files `tls/tls.crt` and `tls/tls.key`. None when neither is there.
    ///
    /// # Errors
    /// When one of them is missing or cannot be read.
    pub fn certificate(&self) -> std::io::Result<Option<CertificateFiles>> {
        let (certificate, key) = (self.folder.join(paths::TLS_CERTIFICATE), self.folder.join(paths::TLS_KEY));
        if !certificate.exists() && !key.exists() {
            return Ok(None);
        }
        let read = |path: &Path| {
            let named =
                |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            std::fs::read(path).map_err(named)
        };
        Ok(Some(CertificateFiles { certificate: read(&certificate)?, key: read(&key)? }))
    }

    /// The token of the admin API: file `admin-token`, or `PURSER_ADMIN_TOKEN`. None when neither is there: then there is no
    /// admin API. Read anew each time.
    #[must_use]
    pub fn admin_token(&self) -> Option<SecretString> {
        self.required(Path::new(paths::ADMIN_TOKEN), "PURSER_ADMIN_TOKEN").ok()
    }

    /// What backups are encrypted with: file `backup-key`, or `PURSER_BACKUP_KEY`. None when neither is there.
    #[must_use]
    pub fn backup_key(&self) -> Option<SecretString> {
        self.required(Path::new(paths::BACKUP_KEY), "PURSER_BACKUP_KEY").ok()
    }

    /// URL of a PostgreSQL on which backups are restored to be looked at: file `scratch-url`, or `PURSER_SCRATCH_URL`. None when
    /// neither is there: then that is done beside the database.
    #[must_use]
    pub fn scratch_url(&self) -> Option<SecretString> {
        self.required(Path::new(paths::SCRATCH_URL), "PURSER_SCRATCH_URL").ok()
    }

    /// URL of the analytics database: file `analytics-url`, or `PURSER_ANALYTICS_URL`.
    ///
    /// # Errors
    /// When neither is there.
    pub fn analytics_url(&self) -> Result<SecretString, ConfigError> {
        self.required(Path::new(paths::ANALYTICS_URL), "PURSER_ANALYTICS_URL")
    }

    /// URL by which the analytics server reaches the payments database: file `analytics-source-url`, or
    /// `PURSER_ANALYTICS_SOURCE_URL`.
    ///
    /// # Errors
    /// When neither is there.
    pub fn analytics_source_url(&self) -> Result<SecretString, ConfigError> {
        self.required(Path::new(paths::ANALYTICS_SOURCE_URL), "PURSER_ANALYTICS_SOURCE_URL")
    }

    /// One part of the credentials for the store of backups: file `backup-store/NAME`. What is not there is taken from the
    /// environment as Amazon's tools take it: AWS_ACCESS_KEY_ID and so on.
    #[must_use]
    pub fn backup_store(&self, name: &str) -> Option<SecretString> {
        let variable = format!("AWS_{}", name.to_uppercase().replace('-', "_"));
        self.required(&Path::new(paths::BACKUP_STORE).join(name), &variable).ok()
    }

    /// The credential of a PaymentProvider resource: file `providers/RESOURCE`, or `PURSER_PROVIDER_RESOURCE`.
    /// Read anew each time, because a rotated secret appears in the file of a running pod.
    ///
    /// # Errors
    /// When neither is there.
    pub fn provider(&self, resource: &str) -> Result<SecretString, ConfigError> {
        let variable = format!("PURSER_PROVIDER_{}", resource.to_uppercase().replace(['-', '.'], "_"));
        // A resource is a Kubernetes name; anything else must not lead out of the folder.
        let name = if resource.contains('/') || resource.starts_with('.') { "invalid" } else { resource };
        self.required(&Path::new(paths::PROVIDERS).join(name), &variable)
    }

    /// What the webhooks of a PaymentProvider resource are verified with: file `provider-webhooks/RESOURCE`, or
    /// `PURSER_PROVIDER_WEBHOOK_RESOURCE`. Stripe's signing secret, or the id of PayPal's webhook.
    ///
    /// # Errors
    /// When neither is there.
    pub fn provider_webhook(&self, resource: &str) -> Result<SecretString, ConfigError> {
        let variable = format!("PURSER_PROVIDER_WEBHOOK_{}", resource.to_uppercase().replace(['-', '.'], "_"));
        let name = if resource.contains('/') || resource.starts_with('.') { "invalid" } else { resource };
        self.required(&Path::new(paths::PROVIDER_WEBHOOKS).join(name), &variable)
    }

    fn required(&self, file: &Path, variable: &str) -> Result<SecretString, ConfigError> {
        let path = self.folder.join(file);
        let found = std::fs::read_to_string(&path).ok().or_else(|| env::var(variable).ok());
        match found.as_deref().map(str::trim) {
            Some(value) if !value.is_empty() => Ok(SecretString::from(value)),
            _ => Err(ConfigError::MissingSecret {
                name: file.display().to_string(),
                path,
                variable: variable.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "owner: shop/payments\nrelease: 0.1.0\nenvironment: Production\nfraud:\n  url: http://fraud:8081\n  deadlineMs: 50\n  onDeadline: Flag\n";

    fn load_text(text: &str) -> Result<RuntimeConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("purser.yaml");
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn a_complete_document_is_read() {
        assert_eq!(load_text(GOOD).unwrap().fraud.deadline_ms, 50);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        for (was, is, key) in [
            ("release: 0.1.0\n", "", "release"),
            ("deadlineMs: 50", "deadlineMs: fifty", "deadlineMs"),
            ("deadlineMs: 50", "deadlineMs: 0", "fraud.deadlineMs"),
            ("http://fraud:8081", "fraud:8081", "fraud.url"),
            ("shop/payments", "payments", "owner"),
            ("release: 0.1.0", "release: 0.1.0\nreadLagMaxMs: 999", "readLagMaxMs"),
            ("onDeadline: Flag", "onDeadline: Flag\n  dedline: 3", "dedline"),
        ] {
            let error = load_text(&GOOD.replace(was, is)).unwrap_err().to_string();
            assert!(error.contains(key), "{key} is not named in: {error}");
        }
    }

    #[test]
    fn who_applies_settings_is_told_of_a_field_that_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.yaml");
        let good = "revision: 1\ncacheTtl: {userS: 1, paymentMethodS: 1, fraudRulesS: 1, metricsS: 1}\nproviders: []\n";
        std::fs::write(&path, good).unwrap();
        assert_eq!(document::<runtime_contract::Settings>(&path).unwrap().revision, 1);
        for (is, key) in
            [("metricsS: 1, metricS: 2", "cacheTtl.metricS"), ("metricsS: 1}\nprovider: {a: 1", "provider")]
        {
            std::fs::write(&path, good.replace("metricsS: 1", is)).unwrap();
            let error = document::<runtime_contract::Settings>(&path).unwrap_err().to_string();
            assert!(error.ends_with(&format!("unknown field `{key}`")), "{error}");
        }
    }

    #[test]
    fn a_missing_document_is_named_by_its_path() {
        let error = load(Path::new("/nowhere/purser.yaml")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/purser.yaml"), "{error}");
    }

    #[test]
    fn a_missing_secret_says_where_it_was_looked_for() {
        let error = Secrets::new("/nowhere").provider("stripe-eu").unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/providers/stripe-eu") && error.contains("PURSER_PROVIDER_STRIPE_EU"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_is_read_without_the_newline_that_editors_add() {
        use secrecy::ExposeSecret;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("providers")).unwrap();
        std::fs::write(folder.path().join("providers/stripe"), "sk_test_1\n").unwrap();
        let secrets = Secrets::new(folder.path());
        assert_eq!(secrets.provider("stripe").unwrap().expose_secret(), "sk_test_1");
        assert!(secrets.provider("../providers/stripe").is_err());
    }
}
