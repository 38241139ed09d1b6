// The body of a function that is made once in each realm; see realm.rs.
'use strict'
const clone = (value, seen = new Map()) => {
  if (typeof value !== 'object' || value === null) return value
  if (seen.has(value)) return seen.get(value)
  const prototype = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    try {
      return structuredClone(value)
    } catch {
      return value
    }
  }
  const copy = Array.isArray(value) ? [] : {}
  seen.set(value, copy)
  for (const key of Object.keys(value)) {
    Object.defineProperty(copy, key, {
      value: clone(value[key], seen),
      writable: true,
      enumerable: true,
      configurable: true,
    })
  }
  return copy
}
const { then } = Promise.prototype
const signals = new WeakMap()
const present = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
return {
  // oxlint-disable-next-line unicorn/no-thenable -- nobody awaits this object
  then,
  clone: (value) => clone(value),
  log: (text) => {
    console.log(text)
  },
  listen: (signal, listener) => {
    if (typeof signal.addEventListener !== 'function') return false
    let shared = signals.get(signal)
    if (shared === undefined) {
      const listeners = new Set()
      shared = {
        listeners,
        fire: () => {
          // oxlint-disable-next-line unicorn/no-useless-spread -- a listener may remove itself and others
          for (const one of [...listeners]) one()
        },
      }
      signal.addEventListener('abort', shared.fire)
      signals.set(signal, shared)
    }
    shared.listeners.add(listener)
    return true
  },
  unlisten: (signal, listener) => {
    const { listeners, fire } = signals.get(signal)
    listeners.delete(listener)
    if (listeners.size > 0) return
    signals.delete(signal)
    if (typeof signal.removeEventListener === 'function') signal.removeEventListener('abort', fire)
  },
  context: (chunks, cwd, meta, jobDefUrl, signal, onStdout, onStderr, timeout, maxOutputBytes) => ({
    chunks,
    cwd,
    signal,
    onStdout,
    onStderr,
    limits: present({ timeout, maxOutputBytes }),
    meta: meta === undefined && jobDefUrl === undefined ? undefined : { ...meta, ...present({ jobDefUrl }) },
  }),
  run: (adapter, context, index, words, separator, fulfilled, rejected, limit) => {
    const args = words.split(separator)
    const command = args.shift()
    const { chunks, cwd, meta, signal, onStdout, onStderr, limits } = context
    const chunk = chunks[index]
    const answer = adapter.execute({
      command,
      args,
      cwd,
      env: process.env,
      meta: meta === undefined ? { chunkId: chunk.id, ...chunk } : { ...meta, chunkId: chunk.id, ...chunk },
      signal: limit ?? signal,
      onStdout: onStdout && ((data) => onStdout(chunk.id, data)),
      onStderr: onStderr && ((data) => onStderr(chunk.id, data)),
      ...limits,
    })
    then.call(Promise.resolve(answer), fulfilled, rejected)
  },
  command: (command, args, cwd, signal) => ({ command, args, cwd, env: process.env, signal }),
  plainCommand: (command, args) => ({ command, args }),
  result: (exitCode, stdout, stderr, durationMs, signal, outputUrl, retry, timedOut) => ({
    exitCode,
    stdout,
    stderr,
    durationMs,
    ...(signal && { signal }),
    ...(outputUrl && { outputUrl }),
    ...(retry && { retry }),
    ...(timedOut && { timedOut }),
  }),
  answer: (statusCode, body) => ({ statusCode, body }),
  request: (signal, redirect) => present({ signal, redirect }),
  hint: (kind, afterMs) => (afterMs === undefined ? { kind } : { kind, afterMs }),
  progress: (phase, done, total) => ({ phase, done, total }),
  about: (chunkId, attempt) => ({ chunkId, attempt }),
  rules: (list) => {
    const among = (value, wanted) => wanted === undefined || [wanted].flat().includes(value)
    const says = (error, text) => {
      if (text === undefined) return true
      const said = [error?.message ?? String(error), error?.stdout, error?.stderr].filter(Boolean)
      return said.some((one) => (typeof text === 'string' ? String(one).includes(text) : String(one).search(text) >= 0))
    }
    const rules = list.map((rule) => ({ ...rule }))
    return (error) =>
      rules.find(
        ({ exitCode, signal, text }) =>
          among(error?.exitCode, exitCode) && among(error?.signal, signal) && says(error, text),
      )
  },
  failure: (error, command, pid, exitCode, signal, timedOut, stdout, stderr) => {
    Object.assign(error, present({ command, pid, exitCode, signal, timedOut }))
    for (const [name, value] of Object.entries({ stdout, stderr })) {
      Object.defineProperty(error, name, { value, writable: true, configurable: true })
    }
  },
  status: (rest, fields, spec, logs) => {
    const { id, ...others } = fields
    return { ...rest, ...present({ id, spec }), ...others, ...present({ logs }) }
  },
  record: (record) =>
    JSON.stringify({
      id: typeof record.id === 'string' ? record.id : undefined,
      state: record.state,
      progress: record.progress,
      totalChunks: record.totalChunks,
      completedChunks: record.completedChunks,
      createdAt: record.createdAt,
      updatedAt: record.updatedAt,
      error: record.error,
      metrics: record.metrics && { totalDurationMs: record.metrics.totalDurationMs },
      meta: record.meta && { jobDefUrl: record.meta.jobDefUrl },
      outputs: record.outputs,
      attempts: record.attempts,
      phase: record.phase,
      startedAt: record.startedAt,
      finishedAt: record.finishedAt,
      logs: Array.isArray(record.logs)
        ? record.logs
            .filter(Boolean)
            .map(({ chunkId, durationMs, stdout, stderr }) => ({ chunkId, durationMs, stdout, stderr }))
        : undefined,
    }),
  inner: (record, name, fields) => ({ ...record[name], ...fields }),
  recorded: (options, jobDir, submittedInName, submittedIn) => {
    const plain = {}
    for (const name of [
      'concurrency',
      'merge',
      'skipMerge',
      'retries',
      'retryDelay',
      'retryBackoff',
      'failFast',
      'chunkTimeout',
      'stallTimeout',
      'killGraceMs',
      'maxLogBytes',
      'maxOutputBytes',
      'outputFile',
      'completedChunkIds',
      'verifyChunks',
      'meta',
      'uploadAssets',
    ])
      plain[name] = options[name]
    const { retryOn } = options
    if (Array.isArray(retryOn) && retryOn.every((rule) => typeof (rule?.text ?? '') === 'string'))
      plain.retryOn = retryOn
    const needed = ['stitcher', 'mergeAdapter', 'storage'].filter(
      (name) => options[name] !== undefined && options[name] !== null,
    )
    Object.assign(plain, { jobDir, [submittedInName]: submittedIn, needed: needed.length > 0 ? needed : undefined })
    const value = (_, one) => (typeof one === 'number' && !Number.isFinite(one) ? String(one) : one)
    try {
      return JSON.stringify(plain, value)
    } catch {
      return JSON.stringify({ ...plain, meta: undefined }, value)
    }
  },
  missing: (options) => options.needed?.find?.((name) => options[name] === undefined || options[name] === null),
  options: (options, more) => ({ ...options, ...present(more ?? {}) }),
  rope: () => {
    let text = ''
    return {
      add: (piece) => {
        text += piece
      },
      text: () => text,
      ends: (max) => {
        const left = text.length - max
        return left > 0 ? `${text.slice(0, max / 2)}\n[${left} characters left out]\n${text.slice(-max / 2)}` : text
      },
    }
  },
  chunks: (list) => {
    const ids = new Float64Array(list.length)
    const frames = new Float64Array(list.length)
    const commands = []
    const files = []
    for (let index = 0; index < list.length; index += 1) {
      const chunk = list[index]
      if (typeof chunk !== 'object' || chunk === null) return undefined
      const { id, command, outputFile, frameCount } = chunk
      if (typeof id !== 'number' || typeof command !== 'string') return undefined
      ids[index] = id
      frames[index] = typeof frameCount === 'number' ? frameCount : NaN
      commands.push(command)
      if (typeof outputFile === 'string') files.push(outputFile)
      else if (outputFile !== undefined) return undefined
    }
    return { ids, frames, commands: commands.join('\0'), files: files.join('\0'), named: files.length }
  },
  copyList: (list) => Array.from(list),
  replace: (object, name, value) => ({ ...object, [name]: value }),
  append: (list, more) => {
    for (const item of more) list.push(item)
  },
}
