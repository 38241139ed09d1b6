// What is measured and what it must reach: one entry per row of the table.
//
// `target`: `ratio` = counterpart's time / ours, at least; `cpuRatio` = the same of CPU time; `loopMs` = our event-loop maximum, at most; `ms` and
// `peakMb` = at most; `peakNotAbove` = our peak memory not above the counterpart's; `msPerChunk` = at most; `growth` =
// our time / our time of another row, at most; `complete` = no update lost; `levelsOff` = memory stays where it was and
// nothing is left behind. `alone` rows have no counterpart, `readsFolder` rows get a folder of
// job files, `nodeOptions` go to the process that measures, `quick` holds the smaller sizes of `--quick`.
import { executor, getJobs, listJobs, output, processes, saveJobs } from './workloads.mjs'
import { cloudRun, functions, lambda, waiting } from './workloads-clouds.mjs'
import { killTree } from './workloads-kill.mjs'
import { journal, manager } from './workloads-manager.mjs'
import { abortedSignals, executedChunks, finishedJobs } from './workloads-memory.mjs'
import { stitch } from './workloads-stitch.mjs'
import { localStorage, s3Storage } from './workloads-storage.mjs'

/** A young generation of fixed size: V8 enlarges it in steps of many megabytes, which is no growth of ours. */
const STEADY_HEAP = ['--min-semi-space-size=2', '--max-semi-space-size=2']

const count = (number) => number.toLocaleString('en')
const FILE_JOBS = { jobs: 3000, chunks: 10 }
const SYNCED_JOBS = { jobs: 1000, chunks: 10 }

export const rows = [
  {
    name: 'import',
    title: () => 'import in a fresh process, over bare Node',
    alone: true,
    size: { processes: 5 },
    quick: { processes: 3 },
    target: { ms: 15, peakMb: 12 },
  },
  {
    name: 'spawn-c8',
    title: (size) => `${size.count} × /bin/true, c 8`,
    workload: processes,
    size: { count: 600, concurrency: 8 },
    quick: { count: 200 },
    target: { ratio: 4, loopMs: 6 },
  },
  {
    name: 'spawn-c32',
    title: (size) => `${size.count} × /bin/true, c 32`,
    workload: processes,
    size: { count: 600, concurrency: 32 },
    quick: { count: 200 },
    target: { ratio: 4, loopMs: 6 },
  },
  {
    name: 'spawn-1gb',
    title: (size) => `${size.count} × /bin/true, c 8, 1 GB in use`,
    workload: processes,
    size: { count: 200, concurrency: 8, ballastMb: 1024 },
    quick: { count: 40 },
    target: { ratio: 50, loopMs: 8 },
  },
  {
    name: 'output-callback',
    title: ({ megabytes }) => `${megabytes} MB of stdout, with a callback`,
    workload: output,
    size: { megabytes: 128, callback: true },
    quick: { megabytes: 32 },
    target: { ratio: 1.2, peakNotAbove: true },
  },
  {
    name: 'output',
    title: ({ megabytes }) => `${megabytes} MB of stdout, without a callback`,
    workload: output,
    size: { megabytes: 128, callback: false },
    quick: { megabytes: 32 },
    target: { ratio: 1.8, peakNotAbove: true },
  },
  ...[1, 8].map((concurrency) => ({
    name: `executor-c${concurrency}`,
    title: ({ chunks }) => `executor with a JS adapter, ${count(chunks)} chunks, c ${concurrency}`,
    workload: executor,
    size: { chunks: 20_000, concurrency },
    quick: { chunks: 5000 },
    target: { ratio: 1.8 },
  })),
  {
    name: 'get-c16',
    title: ({ jobs }) => `FileJobRepository get, ${count(jobs)} jobs, c 16`,
    workload: getJobs,
    readsFolder: true,
    size: { ...FILE_JOBS, concurrency: 16 },
    quick: { jobs: 500 },
    target: { ratio: 4, loopMs: 6 },
  },
  {
    name: 'get-serial',
    title: ({ jobs }) => `FileJobRepository get, ${count(jobs)} jobs, serial`,
    workload: getJobs,
    readsFolder: true,
    size: { ...FILE_JOBS, concurrency: 1 },
    quick: { jobs: 500 },
    target: { ratio: 2.5, loopMs: 6 },
  },
  {
    name: 'list',
    title: ({ jobs }) => `FileJobRepository list, ${count(jobs)} jobs`,
    workload: listJobs,
    readsFolder: true,
    size: FILE_JOBS,
    quick: { jobs: 500 },
    target: { ratio: 10, loopMs: 6 },
  },
  {
    name: 'save-serial',
    title: ({ jobs }) => `save with fsync, ${count(jobs)} jobs, serial`,
    workload: saveJobs,
    size: { ...SYNCED_JOBS, concurrency: 1, fsync: true },
    quick: { jobs: 200 },
    target: { ratio: 1 },
  },
  {
    name: 'save-c16',
    title: ({ jobs }) => `save with fsync, ${count(jobs)} jobs, c 16`,
    workload: saveJobs,
    size: { ...SYNCED_JOBS, concurrency: 16, fsync: true },
    quick: { jobs: 200 },
    target: { ratio: 1 },
  },
  {
    name: 'save-unsynced-serial',
    title: ({ jobs }) => `save with {fsync: false}, ${count(jobs)} jobs, serial`,
    workload: saveJobs,
    size: { ...FILE_JOBS, concurrency: 1, fsync: false },
    quick: { jobs: 500 },
    target: { ratio: 2.5 },
  },
  {
    name: 'save-unsynced-c16',
    title: ({ jobs }) => `save with {fsync: false}, ${count(jobs)} jobs, c 16`,
    workload: saveJobs,
    size: { ...FILE_JOBS, concurrency: 16, fsync: false },
    quick: { jobs: 500 },
    target: {},
  },
  ...managerRows('js', 'JS adapter'),
  ...managerRows('local', 'LocalWorkerAdapter'),
  // A chunk may cost two syncs of the disk, and less where chunks that end together wait together.
  ...[1, 8].map((concurrency) => ({
    name: `journal-c${concurrency}`,
    title: ({ chunks }) => `journal, ${count(chunks)} chunks, c ${concurrency}, over one synced line per chunk`,
    workload: journal,
    size: { chunks: 500, concurrency },
    quick: { chunks: 100 },
    target: { ratio: concurrency === 1 ? 0.5 : 1 },
  })),
  {
    name: 'stitch',
    title: ({ chunks }) => `stitching of ${chunks} chunks of 1 s, over probing and joining alone`,
    workload: stitch,
    size: { chunks: 100 },
    quick: { chunks: 20 },
    target: { ratio: 0.87 },
  },
  ...storageRows('local', localStorage, 2.5),
  ...storageRows('s3', s3Storage, 2),
  {
    name: 'lambda-c64',
    title: (size) => `${count(size.count)} Lambda invocations, c ${size.concurrency}, against AWS's client`,
    workload: lambda,
    size: { count: 10_000, concurrency: 64 },
    quick: { count: 2000 },
    target: { cpuRatio: 2 },
  },
  {
    name: 'cloud-run-c64',
    title: (size) => `${count(size.count)} Cloud Run requests, c ${size.concurrency}, against fetch`,
    workload: cloudRun,
    size: { count: 10_000, concurrency: 64 },
    quick: { count: 2000 },
    target: { cpuRatio: 2 },
  },
  ...['AzureFunctions', 'CloudflareWorkers', 'DenoDeploy', 'Vercel', 'Modal'].map((platform) => ({
    name: `functions-${platform.toLowerCase()}`,
    title: (size) => `${count(size.count)} requests by ${size.adapter}, c ${size.concurrency}, against fetch`,
    workload: functions,
    size: { count: 10_000, concurrency: 64, adapter: `${platform}Adapter` },
    quick: { count: 2000 },
    target: { cpuRatio: 3 },
  })),
  {
    name: 'functions-waiting',
    title: (size) => `${count(size.count)} requests that wait at once, against fetch`,
    workload: waiting,
    size: { count: 1000 },
    quick: {},
    target: { peakMb: 20 },
  },
  {
    name: 'kill-obeying',
    title: ({ processes }) => `abort of a tree of ${processes} processes that obey`,
    workload: killTree,
    alone: true,
    size: { processes: 100, obey: true, graceMs: 5000 },
    quick: {},
    target: { ms: 100 },
  },
  {
    name: 'kill-stubborn',
    title: ({ processes, graceMs }) => `abort of a tree of ${processes} processes that do not, after ${graceMs} ms`,
    workload: killTree,
    alone: true,
    size: { processes: 100, obey: false, graceMs: 500 },
    quick: {},
    target: { ms: 700 },
  },
  {
    name: 'memory-chunks',
    title: ({ chunks }) => `memory: ${count(chunks)} executed chunks`,
    workload: executedChunks,
    alone: true,
    size: { chunks: 100_000 },
    quick: { chunks: 30_000 },
    nodeOptions: STEADY_HEAP,
    target: { levelsOff: true },
  },
  ...['memory', 'file'].map((repository) => ({
    name: `memory-jobs-${repository}`,
    title: ({ jobs }) =>
      `memory: ${count(jobs)} finished jobs, ${repository === 'file' ? 'FileJobRepository' : 'InMemoryJobRepository'}`,
    workload: finishedJobs,
    alone: true,
    size: { jobs: 1000, repository },
    quick: { jobs: 300 },
    nodeOptions: STEADY_HEAP,
    target: { levelsOff: true },
  })),
  {
    name: 'memory-signals',
    title: ({ signals }) => `memory: ${count(signals)} aborted signals`,
    workload: abortedSignals,
    alone: true,
    size: { signals: 10_000 },
    quick: { signals: 1500 },
    nodeOptions: STEADY_HEAP,
    target: { levelsOff: true },
  },
]

function managerRows(adapter, label) {
  const target = { msPerChunk: 1, loopMs: 10, complete: true }
  const row = (chunks, quickChunks, extra) => ({
    name: `manager-${adapter}-${chunks}`,
    title: (size) => `JobManager on files, ${count(size.chunks)} chunks, c 8, ${label}`,
    workload: manager,
    alone: true,
    size: { chunks, concurrency: 8, adapter },
    quick: { chunks: quickChunks },
    target: { ...target, ...extra },
  })
  const growth = { row: `manager-${adapter}-1000`, max: 5 }
  return [row(1000, 250, {}), row(4000, 1000, { growth })]
}

function storageRows(kind, workload, ratio) {
  return [false, true].map((down) => ({
    name: `storage-${kind}-${down ? 'down' : 'up'}`,
    title: ({ files, megabytes }) =>
      `${kind} storage, ${count(files)} files of 20 KB and ${megabytes} MB, ${down ? 'brought back' : 'stored'}`,
    workload,
    size: { files: 2000, megabytes: 200, down },
    quick: { files: 500, megabytes: 50 },
    target: { ratio, peakMb: 64 },
  }))
}
