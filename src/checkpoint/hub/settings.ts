// Room hub/: files of a model hub, of which only what is needed is brought here. Rooms, from the ground up: remote/
// (asking the hub), cache/ (what is on this disk, shared with other processes), download/ (which bytes to fetch, when).

import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { UsageError } from '../../base/errors.ts'

/** The environment variables of Python's huggingface_hub that this program reads, too. */
export interface HubEnvironment {
  readonly HF_HOME?: string | undefined
  readonly HF_HUB_CACHE?: string | undefined
  readonly HUGGINGFACE_HUB_CACHE?: string | undefined
  readonly XDG_CACHE_HOME?: string | undefined
  readonly HF_TOKEN?: string | undefined
  readonly HUGGING_FACE_HUB_TOKEN?: string | undefined
  readonly HF_TOKEN_PATH?: string | undefined
  readonly HF_ENDPOINT?: string | undefined
  readonly HF_HUB_OFFLINE?: string | undefined
  readonly TRANSFORMERS_OFFLINE?: string | undefined
  readonly [name: string]: string | undefined
}

/** How to reach the hub, and where the caches are. Plain data. Holds the token: never log it. */
export interface HubSettings {
  /** The hub's address, without a slash at the end. */
  readonly endpoint: string
  /** The standard cache, shared with Python's huggingface_hub. */
  readonly cacheFolder: string
  /** Our own cache, of parts of files; no other program knows it. */
  readonly partsFolder: string
  readonly token?: string | undefined
  /** Whether the hub may not be asked. */
  readonly offline: boolean
  /** The wait before the second retry in a row (the first one comes at once); it doubles with each further retry. */
  readonly retryDelayMs: number
}

const DEFAULT_ENDPOINT = 'https://huggingface.co'
const RETRY_DELAY_MS = 500
const TRUE_VALUES = new Set(['1', 'ON', 'YES', 'TRUE'])

/** The settings that Python's huggingface_hub would have in this environment. Throws `UsageError`. */
export function hubSettings(env: HubEnvironment): HubSettings {
  const expand = (path: string) => resolve(expandPath(path, env))
  const home = expand(env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? '~/.cache', 'huggingface'))
  const cache = env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE
  const cacheFolder = cache === undefined ? join(home, 'hub') : expand(cache)
  const beside = cache !== undefined && env.HF_HOME === undefined ? dirname(cacheFolder) : home
  return {
    endpoint: parseEndpoint(env.HF_ENDPOINT ?? DEFAULT_ENDPOINT),
    cacheFolder,
    partsFolder: join(beside, 'petals'),
    token:
      cleanToken(env.HF_TOKEN) ??
      cleanToken(env.HUGGING_FACE_HUB_TOKEN) ??
      readToken(expand(env.HF_TOKEN_PATH ?? join(home, 'token'))),
    offline: TRUE_VALUES.has((env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || '').toUpperCase()),
    retryDelayMs: RETRY_DELAY_MS,
  }
}

/**
 * Replaces a leading `~`, then `$NAME` and `${NAME}`, as Python does: a variable that is not set stays as it is
 * written.
 */
export function expandPath(path: string, env: HubEnvironment): string {
  const home = env['HOME'] ?? homedir()
  const fromHome = /^~(?=\/|$)/.test(path) ? home + path.slice(1) : path
  return fromHome.replace(
    /\$(?:(\w+)|\{([^}]*)\})/g,
    (whole: string, bare?: string, braced?: string) => env[bare ?? braced ?? ''] ?? whole,
  )
}

function parseEndpoint(text: string): string {
  if (/^https?:\/\/[^\s/]/.test(text) && URL.canParse(text)) return text.replace(/\/+$/, '')
  throw new UsageError(`HF_ENDPOINT ${JSON.stringify(text)} must be an address that begins with https:// or http://`)
}

function cleanToken(token: string | undefined): string | undefined {
  return token?.replaceAll(/[\r\n]/g, '').trim() || undefined
}

function readToken(file: string): string | undefined {
  try {
    return cleanToken(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
