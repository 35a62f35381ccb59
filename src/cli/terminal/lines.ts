import { type Interface, createInterface } from 'node:readline'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import { BREAK, PastedText } from './pasted-text.ts'

/** How lines are read. */
export interface LineOptions {
  readonly signal: AbortSignal
  /**
   * A person types: there is a prompt, and an error is told and the next line asked for. Otherwise the first error ends
   * the reading.
   */
  readonly isTyped: boolean
}

const PROMPT = '> '
const PROMPT_WITHIN = '… '

const ASK_FOR_PASTES = '\x1b[?2004h'
const NO_PASTES = '\x1b[?2004l'

/**
 * Passes each line of stdin to `take`, one after another, until `take` returns false, the input ends, or the signal is
 * aborted. A backslash at a line's end joins it with the next one. On a terminal a paste of several lines is one line
 * with breaks, which can still be edited, and Alt-Enter breaks a line.
 */
export async function readLines(
  take: (line: string) => Promise<boolean>,
  { signal, isTyped }: LineOptions,
): Promise<void> {
  const lines = openLines(isTyped, signal)
  let before = ''
  let isAsking = false
  const ask = (): void => {
    if (!isTyped) return
    isAsking = true
    // Not in the prompt, whose lines readline erases when it draws it again.
    if (before === '') process.stderr.write('\n')
    lines.setPrompt(before === '' ? PROMPT : PROMPT_WITHIN)
    lines.prompt()
  }
  // On a terminal readline catches Ctrl-C. It drops what has been typed, as in a shell; else the process gets it.
  lines.on('SIGINT', () => {
    if (isAsking && lines.line + before !== '') {
      before = ''
      lines.write(null, { ctrl: true, name: 'e' })
      lines.write(null, { ctrl: true, name: 'u' })
      ask()
      return
    }
    // Behind the listener that deals with it, which may write something.
    if (isAsking) process.once('SIGINT', () => !signal.aborted && ask())
    process.kill(process.pid, 'SIGINT')
  })
  ask()
  try {
    for await (const line of lines) {
      isAsking = false
      const text = before + line.replaceAll(BREAK, '\n')
      before = text.endsWith('\\') ? `${text.slice(0, -1)}\n` : ''
      if (before === '' && !(await taken(take, text, isTyped))) return
      ask()
    }
    if (before !== '') await taken(take, before, isTyped)
  } finally {
    lines.close()
    // What comes next, a shell's prompt, does not belong behind ours.
    if (isAsking) process.stderr.write('\n')
  }
}

async function taken(take: (line: string) => Promise<boolean>, line: string, isTyped: boolean): Promise<boolean> {
  try {
    return await take(line)
  } catch (error) {
    if (!isTyped || !(error instanceof PetalsError)) throw error
    process.stderr.write(`${errorMessage(error)}\n`)
    return true
  }
}

function openLines(isTyped: boolean, signal: AbortSignal): Interface {
  if (!isTyped || !process.stderr.isTTY)
    return createInterface({ input: process.stdin, ...(isTyped && { output: process.stderr }), signal })
  // By this readline sets the terminal's mode, also after Ctrl-Z and fg.
  const text = Object.assign(new PastedText(), { setRawMode: (mode: boolean) => process.stdin.setRawMode(mode) })
  process.stdin.pipe(text)
  process.stderr.write(ASK_FOR_PASTES)
  const lines = createInterface({ input: text, output: process.stderr, terminal: true, signal })
  // After Ctrl-Z and fg readline has paused its input, and a shell may have ended the mode.
  lines.on('SIGCONT', () => {
    process.stderr.write(ASK_FOR_PASTES)
    lines.resume()
  })
  process.once('exit', restore)
  lines.once('close', () => {
    process.off('exit', restore)
    process.stdin.unpipe(text)
    process.stdin.pause()
    restore()
  })
  return lines
}

/** Leaves the terminal as it was. */
function restore(): void {
  process.stdin.setRawMode(false)
  process.stderr.write(NO_PASTES)
}
