//! A merchant of the quickstart, and what it does with the payment API.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Kubectl, NAMESPACE};

/// Keeps the API key between two runs of `up`, since Purser itself stores only its hash.
const SECRET: &str = "quickstart-merchant";

/// A merchant with a key, in front of a gateway.
#[derive(Clone, Debug)]
pub struct Merchant {
    /// Address of the gateway, without a slash at the end.
    pub base_url: String,
    /// The API key.
    pub api_key: String,
    http: reqwest::Client,
}

/// What the gateway answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers that the caller may want to look at.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as JSON.
    pub body: Value,
}

impl Merchant {
    /// A merchant that has its key already.
    pub fn new(base_url: &str, api_key: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build()?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), api_key: api_key.to_owned(), http })
    }

    /// The quickstart's merchant: created through a gateway pod the first time, found again later.
    pub async fn find_or_create(kubectl: &Kubectl, base_url: &str) -> Result<Self> {
        if let Some(key) = stored_key(kubectl).await? {
            let merchant = Self::new(base_url, &key)?;
            // A key of a database that has been thrown away since is no key any more.
            if merchant.call_until_answered("GET", "/v1/payments/pay_00000000000070008000000000000000").await?.status
                != 401
            {
                return Ok(merchant);
            }
        }
        let key = create(kubectl, "Quickstart shop", "shop@example.com").await?;
        store_key(kubectl, &key).await?;
        Self::new(base_url, &key)
    }

    /// One call with a JSON body.
    pub async fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base_url)).header("Idempotency-Key", idempotency_key);
        answer(request.bearer_auth(&self.api_key).json(body)).await
    }

    /// The same, by one who waits when it has asked too often.
    async fn post_patiently(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<Answer> {
        let started = Instant::now();
        loop {
            let got = self.post(path, idempotency_key, body).await?;
            if got.status != 429 || started.elapsed() > Duration::from_secs(30) {
                return Ok(got);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// One call without a body. Who asks too often is told to wait, and does.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        let started = Instant::now();
        loop {
            let got = answer(self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&self.api_key)).await?;
            if got.status != 429 || started.elapsed() > Duration::from_secs(30) {
                return Ok(got);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A user with a payment method, and the method's id.
    pub async fn payment_method(&self, unique: &str, token: &str) -> Result<String> {
        let user = json!({"email": format!("{unique}@example.com"), "full_name": "Ada Quickstart"});
        let user = self.post_patiently("/v1/users", &format!("user-{unique}"), &user).await?.expect(201)?;
        let method = json!({
            "user_id": user["id"], "type": "CREDIT_CARD", "provider": "visa", "token": token,
            "last_four": "4242", "expiry_month": 12, "expiry_year": 2035, "cardholder_name": "Ada Quickstart",
        });
        let key = format!("method-{unique}");
        let method = self.post_patiently("/v1/payment-methods", &key, &method).await?.expect(201)?;
        Ok(method["id"].as_str().context("a payment method without an id")?.to_owned())
    }

    /// Takes a payment and waits until it has ended.
    pub async fn pay(
        &self,
        idempotency_key: &str,
        payment_method: &str,
        amount: &str,
        limit: Duration,
    ) -> Result<Value> {
        let started = Instant::now();
        let body = json!({"amount": amount, "currency": "USD", "payment_method_id": payment_method});
        let accepted = self.post("/v1/payments", idempotency_key, &body).await?;
        if accepted.status != 201 && accepted.status != 202 {
            bail!("the gateway answered {}: {}", accepted.status, accepted.body);
        }
        let id = accepted.body["id"].as_str().context("a payment without an id")?.to_owned();
        let mut payment = accepted.body;
        while matches!(payment["status"].as_str(), Some("PENDING" | "PROCESSING")) && started.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(200)).await;
            payment = self.get(&format!("/v1/payments/{id}")).await?.expect(200)?;
        }
        Ok(payment)
    }

    async fn call_until_answered(&self, method: &str, path: &str) -> Result<Answer> {
        let started = Instant::now();
        loop {
            let request = self.http.request(method.parse()?, format!("{}{path}", self.base_url));
            match answer(request.bearer_auth(&self.api_key)).await {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Err(error) if started.elapsed() > Duration::from_secs(20) => return Err(error),
                Ok(answer) if started.elapsed() > Duration::from_secs(20) => return Ok(answer),
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }
}

impl Answer {
    /// The body, if the status is the expected one.
    pub fn expect(self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!("expected {status}, but the gateway answered {}: {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await.context("no answer from the gateway")?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}

/// Runs `purser merchant create` in a gateway pod, which has the database's secret, and gives the key.
pub async fn create(kubectl: &Kubectl, name: &str, email: &str) -> Result<String> {
    let selector = "app.kubernetes.io/instance=payments,app.kubernetes.io/component=gateway";
    let pods =
        kubectl.get(&["-n", NAMESPACE, "pods", "-l", selector, "--field-selector", "status.phase=Running"]).await?;
    let pod = pods.as_ref().and_then(|list| list["items"][0]["metadata"]["name"].as_str());
    let pod = format!("pod/{}", pod.context("no gateway pod is running")?);
    let command = ["purser", "merchant", "create", "--name", name, "--email", email, "--json"];
    let printed = kubectl.run(&[&["-n", NAMESPACE, "exec", &pod, "--"], &command[..]].concat()).await?;
    let created: Value = serde_json::from_str(&printed).context("`purser merchant create --json` printed no JSON")?;
    Ok(created["api_key"].as_str().context("`purser merchant create --json` printed no api_key")?.to_owned())
}

async fn stored_key(kubectl: &Kubectl) -> Result<Option<String>> {
    let key = kubectl
        .run(&[
            "-n",
            NAMESPACE,
            "get",
            "secret",
            SECRET,
            "--ignore-not-found",
            "-o",
            "go-template={{index .data \"apiKey\" | base64decode}}",
        ])
        .await?;
    Ok(Some(key).filter(|key| !key.trim().is_empty()))
}

async fn store_key(kubectl: &Kubectl, key: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "stringData": {"apiKey": key},
    });
    kubectl
        .run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&secret.to_string()))
        .await?;
    Ok(())
}
