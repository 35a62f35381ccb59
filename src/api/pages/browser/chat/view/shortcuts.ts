import { stop } from '../model/answering.ts'
import { startNew } from '../model/state.ts'

/** The keys that work wherever the focus is; they are told in the settings. */
export const SHORTCUTS = [
  ['Enter', 'send; with Shift a new line'],
  ['Esc', 'stop the answer'],
  ['↑', 'in an empty box: edit the last message'],
  ['Alt N', 'new conversation'],
  ['/', 'go to the box'],
] as const

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (document.querySelector('dialog[open]') !== null) return
    const target = event.target as Element
    const isTyping = target.matches('input, textarea, select')
    if (event.key === 'Escape' && !target.matches('.edit textarea')) stop()
    else if (event.altKey && event.code === 'KeyN') {
      event.preventDefault()
      startNew()
      focusComposer()
    } else if (event.key === '/' && !isTyping) {
      event.preventDefault()
      focusComposer()
    }
  })
}

export function focusComposer(): void {
  document.querySelector<HTMLTextAreaElement>('#composer')?.focus()
}
