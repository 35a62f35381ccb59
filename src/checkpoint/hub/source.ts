import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { UsageError } from '../../base/errors.ts'
import { GGUF_CURE, isGguf } from '../files/gguf.ts'
import { expandPath } from './settings.ts'

/** What a user names a model by: a folder, or a repository of the hub at a branch, tag or commit. */
export type ModelSource =
  | { readonly kind: 'folder'; readonly folder: string }
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string }

const DEFAULT_REVISION = 'main'

/** The hub's own limit for each half of `org/name`. */
const MAX_NAME = 96

/**
 * Reads a model's name as users give it. An existing path, or a text that begins with `.`, `/` or `~`, is a folder;
 * other texts must be `org/name` or `org/name@revision` on the hub. Throws `UsageError` for anything else.
 */
export function parseModelSource(text: string): ModelSource {
  if (text !== '' && (existsSync(text) || /^[.~]/.test(text) || isAbsolute(text))) {
    return { kind: 'folder', folder: expandPath(text, { HOME: process.env['HOME'] }) }
  }
  if (isGguf(text)) throw new UsageError(`${text}: ${GGUF_CURE}`)
  const [, repo, revision = DEFAULT_REVISION] = /^([^@]+)(?:@(.+))?$/s.exec(text) ?? []
  if (repo === undefined || !isRepo(repo)) {
    throw new UsageError(
      `the model ${JSON.stringify(text)} is neither a folder that exists nor a name org/name[@revision] of the hub`,
    )
  }
  if (!isRevision(revision)) {
    throw new UsageError(
      `the revision ${JSON.stringify(revision)} of ${repo} cannot be: give a branch, a tag or a commit`,
    )
  }
  return { kind: 'hub', repo, revision }
}

/** Whether a revision is a full commit id. Unlike a branch or tag it never changes its meaning. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision)
}

function isRepo(repo: string): boolean {
  const halves = repo.split('/')
  return (
    halves.length === 2 &&
    !repo.includes('--') &&
    !repo.includes('..') &&
    halves.every((half) => half.length <= MAX_NAME && /^\w(?:[\w.-]*\w)?$/.test(half))
  )
}

/**
 * Whether a text can be a revision. It becomes part of a path (refs/REVISION), so it must not lead out of its folder.
 */
function isRevision(revision: string): boolean {
  return (
    revision.length <= 255 &&
    /^\w[\w./+-]*$/.test(revision) &&
    revision.split('/').every((part) => part !== '' && !part.startsWith('.'))
  )
}
