// Which job paths a server lets in: those below one of its prefixes, and nothing that only looks like it.
const { resolve, sep } = require('node:path')

/** Tells URLs from files, as the worker itself does. */
const isUrl = (path) => /^[a-z][a-z\d+.-]*:\/\//i.test(path)
const isHttp = (path) => /^https?:\/\//i.test(path)

/** Whether a storage may see a way up anywhere in a URL: to most of them `?` and `#` are characters as any other. */
const leadsUp = (url) => /(^|\/)\.{1,2}(\/|$)|\\/.test(url)

/**
 * Whether a server of files may see a way up in a URL, or a separator that we do not see: it may decode what is encoded.
 * Not so in a query, which is all encoded where a URL is signed. Parsers forget white space.
 */
const leadsElsewhere = (url) =>
  /[\0-\x20\x7f]/.test(url) || /(^|\/)(\.|%2e){1,2}(\/|$)|\\|%2f|%5c|%00/i.test(url.split(/[?#]/, 1)[0])

/** `path` is `prefix`, or below it: `/jobs` has `/jobs/1`, not `/jobs-of-others`. */
const isBelow = (path, prefix, separator) =>
  path === prefix || path.startsWith(prefix.endsWith(separator) ? prefix : prefix + separator)

/**
 * A function that gives a job path as it may be read, if it is below one of `prefixes`; without a list, all are. A file is
 * read where it was looked for: to the system `link/..` is the folder that is above the link's target.
 */
function jobPathFilter(prefixes) {
  if (prefixes === undefined || prefixes === null) return (path) => path
  if (!Array.isArray(prefixes)) throw new TypeError('config.allowedJobPaths must be an array')
  const filters = prefixes.map(filterOf)
  return (given) => {
    const path = isUrl(given) ? given : resolve(given)
    return filters.some((lets) => lets(path)) ? path : undefined
  }
}

function filterOf(prefix, index) {
  const name = `config.allowedJobPaths[${index}]`
  if (typeof prefix !== 'string' || prefix === '') throw new TypeError(`${name} must be a URL or a path`)
  if (!isUrl(prefix)) {
    const folder = resolve(prefix)
    return (path) => !isUrl(path) && isBelow(path, folder, sep)
  }
  if (leadsElsewhere(prefix) || /[?#]/.test(prefix)) {
    throw new TypeError(`${name} must be a URL without '..', encoded separators, query and fragment`)
  }
  // URLs of storages are compared as they are: that is how storages read them.
  if (!isHttp(prefix)) {
    return (path) => isUrl(path) && !leadsElsewhere(path) && !leadsUp(path) && isBelow(path, prefix, '/')
  }
  const allowed = new URL(prefix)
  return (path) => {
    // The parser is that of fetch: what it makes of a URL is what will be asked for.
    if (!isHttp(path) || leadsElsewhere(path) || !URL.canParse(path)) return false
    const { origin, pathname } = new URL(path)
    return origin === allowed.origin && isBelow(pathname, allowed.pathname, '/')
  }
}

module.exports = { jobPathFilter }
