import Link from 'next/link';

export const metadata = { title: 'Not found' };

export default function NotFound() {
  return (
    <main className="missing">
      <h1>There is no such page</h1>
      <p>
        Back to the <Link href="/">documentation</Link>.
      </p>
    </main>
  );
}
