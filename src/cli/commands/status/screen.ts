const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const END_OF_LINE = '\x1b[K'
const END_OF_SCREEN = '\x1b[J'

const CTRL_C = '\x03'

/** What the screen calls. */
export interface ScreenEvents {
  readonly onResize: () => void
  /** Called when q is pressed. */
  readonly onLeave: () => void
}

/** Uses the whole terminal, on the alternate screen: the previous contents come back however the process ends. */
export class Screen {
  readonly #restore = (): void => {
    process.stdout.write(LEAVE)
  }
  readonly #onKey = (key: string): void => {
    if (key === CTRL_C) process.kill(process.pid, 'SIGINT')
    if (key === 'q' || key === 'Q') this.#events.onLeave()
  }

  readonly #events: ScreenEvents
  #isOpen = true

  constructor(events: ScreenEvents) {
    this.#events = events
    process.stdout.write(ENTER)
    process.on('exit', this.#restore)
    process.stdout.on('resize', events.onResize)
    if (process.stdin.isTTY) process.stdin.setRawMode(true).setEncoding('utf8').on('data', this.#onKey)
  }

  /** Draws lines that are no longer than `columns`; those that do not fit below one another are left out. */
  draw(render: (columns: number, rows: number) => readonly string[]): void {
    if (!this.#isOpen) return
    const { columns, rows } = process.stdout
    const lines = render(columns, rows).slice(0, rows)
    process.stdout.write(`${HOME}${lines.join(`${END_OF_LINE}\r\n`)}${END_OF_LINE}${END_OF_SCREEN}`)
  }

  /** Restores the terminal. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.off('exit', this.#restore)
    process.stdout.off('resize', this.#events.onResize)
    if (process.stdin.isTTY) process.stdin.off('data', this.#onKey).setRawMode(false).pause()
    this.#restore()
  }
}
