import { HubError } from '../errors.ts'
import type { HubSettings } from '../settings.ts'

/** What a request asked for, for error messages. */
export interface Asked {
  readonly repo: string
  readonly revision: string
  readonly file?: string | undefined
}

/** The error that an HTTP answer other than a success means. */
export function errorOfAnswer(response: Response, asked: Asked, settings: HubSettings): HubError {
  const { status, headers } = response
  const { repo, revision, file } = asked
  const said = saidBy(headers)
  const name = file === undefined ? repo : `${file} of ${repo}`
  switch (headers.get('x-error-code')) {
    case 'GatedRepo':
      return gated(repo, settings)
    case 'RepoNotFound':
      return repoNotFound(repo, settings)
    case 'RevisionNotFound':
      return new HubError(
        'HUB_REVISION_NOT_FOUND',
        `${repo} has no revision ${revision}: see ${settings.endpoint}/${repo}/tree/main for its branches and tags`,
      )
    case 'EntryNotFound':
      return new HubError('HUB_FILE_NOT_FOUND', `${repo} has no file ${file ?? '?'} at revision ${revision}`)
  }
  if (status === 401 || status === 403) {
    return new HubError(
      'HUB_TOKEN',
      settings.token === undefined
        ? `${settings.endpoint} refuses ${name} without a token (${status}${said}): ${HOW_TO_GIVE_A_TOKEN}`
        : `${settings.endpoint} refuses the token for ${name} (${status}${said}): make a new one that may read ` +
            'this model',
    )
  }
  if (status === 404) {
    return file === undefined
      ? repoNotFound(repo, settings)
      : new HubError('HUB_FILE_NOT_FOUND', `${repo} has no file ${file} at revision ${revision}`)
  }
  if (status === 429) return rateLimited(headers, settings)
  if (status >= 500 || status === 408) {
    return new HubError(
      'HUB_UNAVAILABLE',
      `${settings.endpoint} cannot answer for ${name} at the moment (${status}${said}): try again later`,
      { retryAfterMs: retryAfterMs(headers) },
    )
  }
  return new HubError('HUB_ANSWER', `${settings.endpoint} answered ${status}${said} for ${name}: check HF_ENDPOINT`)
}

const HOW_TO_GIVE_A_TOKEN = 'give one in HF_TOKEN, or with `hf auth login`'

function gated(repo: string, { endpoint, token }: HubSettings): HubError {
  const accept = `accept its conditions at ${endpoint}/${repo}`
  return new HubError(
    'HUB_GATED',
    token === undefined
      ? `${repo} is a gated model: ${accept}, then make a token at ${endpoint}/settings/tokens and ` +
          HOW_TO_GIVE_A_TOKEN
      : `${repo} is a gated model that the given token has no access to: ${accept} with the token's account, ` +
          'or give the token the right to read gated models',
  )
}

function repoNotFound(repo: string, { endpoint, token }: HubSettings): HubError {
  return new HubError(
    'HUB_REPO_NOT_FOUND',
    `${endpoint} has no model ${repo}` +
      `${token === undefined ? `, or it is private: then ${HOW_TO_GIVE_A_TOKEN}` : ' that the given token may see'}` +
      `. If a folder was meant, write ./${repo}`,
  )
}

function rateLimited(headers: Headers, { endpoint, token }: HubSettings): HubError {
  const waitMs = retryAfterMs(headers)
  const when = waitMs === undefined ? 'in a few minutes' : `in ${Math.ceil(waitMs / 1000)} s`
  const cure = token === undefined ? '; requests with a token have a higher limit' : ''
  return new HubError('HUB_RATE_LIMITED', `${endpoint} limits the rate of requests: try again ${when}${cure}`, {
    retryAfterMs: waitMs,
  })
}

/** The header `Retry-After`, given in seconds or as a date, in milliseconds from now. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : undefined
}

/** What the hub says about the error in its own headers. */
function saidBy(headers: Headers): string {
  const text = headers
    .get('x-error-message')
    ?.replaceAll(/[^\x20-\x7e]/g, ' ')
    .trim()
    .slice(0, 200)
  return text === undefined || text === '' ? '' : `, ${text}`
}
