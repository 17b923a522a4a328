//! `purser migrate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::backup::{Backups, DryRun, Rehearsal};
use crate::ids::BackupId;
use crate::migrate::lint::{self, Finding};
use crate::migrate::{self, FileOutlook, LockOutlook, Outlook, Patience, Phase, Runner, State, Status};
use crate::report;
use anyhow::Context as _;
use chrono::Utc;
use clap::{Args, Subcommand};
use runtime_contract::{JobReport, MigrationPlan, Outcome, Reason};
use serde::Serialize;

use super::backup::{self, Failure};
use super::job::{self, DatabaseArgs};
use super::store::StoreJobArgs;
use super::table::Table;
use super::{PATIENCE, PersonArgs, exit_code, show};

/// How long a command waits for another one that migrates.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);
/// How long the operator's Job waits for a database that does not answer.
const JOB_PATIENCE: Duration = Duration::from_secs(30);
/// A person sooner wants to know that somebody else is at it.
const PERSON_PATIENCE: Patience = Patience { connect: PATIENCE, lock: Duration::from_secs(10) };

/// What `purser migrate` takes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    command: Option<MigrateCommand>,
    #[command(flatten)]
    apply: Option<ApplyArgs>,
}

/// What `purser migrate apply` takes. For the group see [`DatabaseArgs`].
#[derive(Args)]
#[group(args = ["owner"])]
struct ApplyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The number of the operator that has it done: refused where one with a greater number has been
    #[arg(long, value_name = "NUMBER")]
    fencing_token: Option<i64>,
}

/// What can be done about the schema.
#[derive(Subcommand)]
enum MigrateCommand {
    /// Bring the schema to this version, and leave a report; what `purser migrate` alone does too
    Apply(ApplyArgs),
    /// Say what is to be applied, what it locks and rewrites, and whether payments go on meanwhile. The files are run on
    /// empty copies of the tables, in a schema that is dropped again. Exit code 1 when something is unsafe
    Plan(PlanArgs),
    /// Apply what is pending to a copy of the database, say how long each file takes, and drop the copy. Exit code 1 when one fails
    DryRun(DryRunArgs),
    /// Find what is unsafe in migration files: in those given, or else in this program's. Exit code 1 when something is
    Lint(LintArgs),
    /// Say where the database stands. Exit code 1 when this program cannot work with it
    Status(PersonArgs),
}

/// What `purser migrate lint` takes.
#[derive(Args)]
struct LintArgs {
    /// Files of SQL
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `purser migrate plan` takes.
#[derive(Args)]
struct PlanArgs {
    #[command(flatten)]
    person: PersonArgs,
    /// The PaymentCluster that the database belongs to; with it, a report is left for the operator
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = job::owner)]
    owner: Option<String>,
}

/// What `purser migrate dry-run` takes.
#[derive(Args)]
#[group(args = ["backup", "from_current"], required = true, multiple = false)]
struct DryRunArgs {
    /// Restore this backup and apply the files there
    #[arg(long, value_name = "ID")]
    backup: Option<BackupId>,
    /// Copy the database as it is now, which takes reading all of it, and apply the files there
    #[arg(long)]
    from_current: bool,
    #[command(flatten)]
    job: StoreJobArgs,
}

/// Does it.
pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    match (args.command, args.apply) {
        (Some(MigrateCommand::Apply(args)), _) | (None, Some(args)) => job::reported(&apply(&args).await),
        (Some(MigrateCommand::Plan(args)), _) => plan(&args).await,
        (Some(MigrateCommand::DryRun(args)), _) => dry_run(&args).await,
        (Some(MigrateCommand::Lint(args)), _) => lint(&args),
        (Some(MigrateCommand::Status(args)), _) => status(&args).await,
        (None, None) => anyhow::bail!("say whose database it is: --owner NAMESPACE/NAME"),
    }
}

async fn apply(args: &ApplyArgs) -> JobReport {
    let ApplyArgs { database: args, fencing_token } = args;
    let url = match args.secrets.secrets().database_url() {
        Ok(url) => url,
        Err(error) => return report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string()),
    };
    let patience = Patience { connect: args.patience(), lock: LOCK_PATIENCE };
    let runner = Runner { owner: &args.owner, fencing_token: *fencing_token };
    match migrate::run(&url, runner, patience, Utc::now()).await {
        Ok(done) => {
            let message = format!(
                "schema version {}: {} migrations applied, {} partitions made",
                done.schema_version,
                done.applied,
                done.partitions.len()
            );
            let report = report::report(Outcome::Succeeded, Reason::Migrated, &message);
            JobReport { schema_version: Some(done.schema_version), ..report }
        }
        Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
    }
}

async fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    if args.owner.is_some() {
        return job::reported(&planned(args).await);
    }
    let outlook = migrate::plan(&args.person.secrets.secrets().database_url()?, PERSON_PATIENCE).await?;
    args.person.show(&outlook, plan_in_words)?;
    Ok(exit_code(outlook.safe))
}

/// The same for the operator, which asks before anything is changed.
async fn planned(args: &PlanArgs) -> JobReport {
    let url = match args.person.secrets.secrets().database_url() {
        Ok(url) => url,
        Err(error) => return report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string()),
    };
    let patience = Patience { connect: JOB_PATIENCE, lock: LOCK_PATIENCE };
    match migrate::plan(&url, patience).await {
        Ok(outlook) if outlook.safe => {
            let plan = contract_plan(&outlook);
            let report = report::report(Outcome::Succeeded, Reason::MigrationsPlanned, &plan_in_a_sentence(&plan));
            JobReport { migration_plan: Some(plan), ..report }
        }
        Ok(outlook) => report::report(Outcome::Failed, Reason::MigrationUnsafe, &plan_in_words(&outlook)),
        Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
    }
}

fn contract_plan(outlook: &Outlook) -> MigrationPlan {
    let count = |files: usize| u32::try_from(files).unwrap_or(u32::MAX);
    MigrationPlan {
        from: outlook.database_version,
        to: outlook.program_version.max(outlook.database_version),
        pending: count(outlook.files.len()),
        offline: count(outlook.files.iter().filter(|file| !file.online).count()),
    }
}

fn plan_in_a_sentence(plan: &MigrationPlan) -> String {
    match *plan {
        MigrationPlan { from, pending: 0, .. } => format!("nothing to apply: the schema is at version {from}"),
        MigrationPlan { from, to, pending, offline } => {
            format!("schema version {from} to {to}: {pending} files to apply, {offline} of them offline")
        }
    }
}

async fn dry_run(args: &DryRunArgs) -> anyhow::Result<ExitCode> {
    let done = match backup::open(&args.job.store)? {
        Ok(backups) => rehearse(args, &backups).await,
        Err(failure) => Err(failure),
    };
    let succeeded = done.as_ref().is_ok_and(|done| done.succeeded);
    let ending = match &done {
        Ok(done) if !done.succeeded => (Outcome::Failed, Reason::DryRunFailed),
        _ => (Outcome::Succeeded, Reason::DryRunSucceeded),
    };
    let code =
        args.job.ended(done, ending, |done, report| backup::of_backup(done.backup_id, report), dry_run_in_words)?;
    Ok(if succeeded { code } else { ExitCode::FAILURE })
}

async fn rehearse(args: &DryRunArgs, backups: &Backups) -> Result<DryRun, Failure> {
    let (server, owner) = (backup::scratch(&args.job)?, args.job.owner.as_deref());
    let url = args.job.database_url()?;
    let from = args.backup.map_or(Rehearsal::Current(&url), Rehearsal::Backup);
    Ok(backups.dry_run(from, owner, migrate::own_files(), &server, Utc::now()).await?)
}

fn dry_run_in_words(done: &DryRun) -> String {
    let DryRun { from_version, to_version, files, failure, copy_took_ms, took_ms, .. } = done;
    let head = format!(
        "schema version {from_version} to {to_version} on a copy: {} files in {took_ms} ms; the copy took {copy_took_ms} ms",
        files.len()
    );
    let took = files.iter().map(|file| format!("\n{}: {} ms", file.name, file.took_ms));
    let failed = failure.iter().map(|failure| format!("\nFAILED: {failure}"));
    took.chain(failed).fold(head, |words, line| words + &line)
}

fn plan_in_words(outlook: &Outlook) -> String {
    let Outlook { database_version, program_version, online, safe, files } = outlook;
    if files.is_empty() {
        return format!("nothing to apply: the schema is at version {database_version}");
    }
    let way = if *online { "online: payments go on" } else { "OFFLINE: writes must be refused meanwhile" };
    let verdict = if *safe { "nothing is unsafe" } else { "UNSAFE" };
    let head =
        format!("schema version {database_version} to {program_version}, {} files; {way}; {verdict}", files.len());
    files.iter().fold(head, |words, file| words + "\n\n" + &file_in_words(file))
}

fn file_in_words(file: &FileOutlook) -> String {
    let phase = file.phase.map_or("no phase", Phase::as_str);
    let transaction = if file.transaction { "in a transaction" } else { "without a transaction" };
    let way = if file.online { "online" } else { "OFFLINE" };
    let mut lines = vec![format!("{}: {phase}, {transaction}, {way}", file.name)];
    for statement in &file.statements {
        lines.push(format!("  line {}: {}", statement.line, statement.sql));
        lines.extend(statement.locks.iter().map(lock_in_words));
        lines.extend(statement.rewrites.iter().map(|table| format!("    writes all of {table} anew")));
        lines.extend(statement.refused.iter().map(|why| format!("    REFUSED: {why}")));
    }
    lines.extend(file.findings.iter().map(|finding| format!("  UNSAFE, {}", finding_in_words(finding))));
    lines.join("\n")
}

fn lock_in_words(lock: &LockOutlook) -> String {
    let LockOutlook { table, mode, stops, rows } = lock;
    let rows = rows.map_or_else(|| "rows not counted yet".to_owned(), |rows| format!("about {rows} rows"));
    format!("    {mode} on {table} ({rows}): {}", stops.words())
}

/// A file, and what is unsafe in it.
#[derive(Serialize)]
struct Linted {
    file: String,
    findings: Vec<Finding>,
}

fn lint(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let read = |path: &PathBuf| {
        let sql = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Linted { file: path.display().to_string(), findings: lint::lint_file(&sql) })
    };
    let linted: Vec<Linted> = if args.files.is_empty() {
        lint::own().into_iter().map(|(file, findings)| Linted { file, findings }).collect()
    } else {
        args.files.iter().map(read).collect::<anyhow::Result<_>>()?
    };
    show(args.json, &linted, |linted| lint_in_words(linted))?;
    Ok(exit_code(linted.iter().all(|file| file.findings.is_empty())))
}

fn lint_in_words(linted: &[Linted]) -> String {
    let found: Vec<String> = linted
        .iter()
        .flat_map(|Linted { file, findings }| {
            findings.iter().map(move |finding| format!("{file}, {}", finding_in_words(finding)))
        })
        .collect();
    if found.is_empty() { format!("{} files, nothing unsafe", linted.len()) } else { found.join("\n") }
}

fn finding_in_words(finding: &Finding) -> String {
    let Finding { rule, line, says, help } = finding;
    let help = help.as_ref().map(|help| format!(" {help}")).unwrap_or_default();
    format!("line {line}: {says}{help} ({rule})")
}

async fn status(args: &PersonArgs) -> anyhow::Result<ExitCode> {
    let status = migrate::status(&mut args.connect().await?).await?;
    args.show(&status, status_in_words)?;
    Ok(exit_code(matches!(status.state, State::Current | State::Pending)))
}

fn status_in_words(status: &Status) -> String {
    let Status { owner, database_version, program_version, state, problem, applied, pending } = status;
    let owner = owner.as_deref().unwrap_or("nobody yet");
    let verdict = match (state, problem) {
        (_, Some(problem)) => problem.clone(),
        (State::Current, _) => "nothing to apply".to_owned(),
        _ => format!("to apply: {}", pending.join(", ")),
    };
    let head = format!(
        "schema version {database_version}, this program's {program_version}; the database belongs to {owner}\n{verdict}"
    );
    if applied.is_empty() {
        return head;
    }
    let rows = applied.iter().fold(Table::new(&["VERSION", "WHAT", "APPLIED AT", "TOOK"]), |table, file| {
        let at = file.applied_at.format("%Y-%m-%d %H:%M:%SZ").to_string();
        table.row(vec![file.version.to_string(), file.description.clone(), at, format!("{} ms", file.took_ms)])
    });
    format!("{head}\n\n{rows}")
}
