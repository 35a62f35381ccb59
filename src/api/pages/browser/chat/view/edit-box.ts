import type { VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { html } from '../../shared/html.ts'

interface EditBoxProps {
  readonly text: string
  readonly onSave: (text: string) => void
  readonly onCancel: () => void
}

/** A message of the user as it is edited: what it was stays as another version. */
export function EditBox({ text, onSave, onCancel }: EditBoxProps): VNode {
  const ref = useRef<HTMLTextAreaElement>(null)
  useLayoutEffect(() => {
    ref.current?.focus()
    ref.current?.setSelectionRange(text.length, text.length)
  }, [])
  const save = (): void => {
    const changed = ref.current!.value.trim()
    if (changed !== '') onSave(changed)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') onCancel()
    else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      save()
    }
  }
  return html`<div class="edit">
    <textarea ref=${ref} dir="auto" aria-label="Edit the message" onKeyDown=${onKeyDown}>${text}</textarea>
    <div class="buttons">
      <button type="button" class="button small" onClick=${onCancel}>Cancel</button>
      <button type="button" class="button small primary" onClick=${save}>Send</button>
    </div>
  </div>`
}
